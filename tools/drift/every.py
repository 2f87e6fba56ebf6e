"""All drift checks of a repository, in one list."""

from collections.abc import Callable
from pathlib import Path

from drift import (
    alt,
    captions,
    exercises,
    form,
    glossary_order,
    numbers,
    parts,
    reading_order,
    same_code,
    traceability,
)

CHECKS: tuple[Callable[[Path], list[str]], ...] = (
    same_code.shown_is_source,
    same_code.shown_once,
    same_code.helpers_shown,
    same_code.not_shown_is_current,
    same_code.modules_have_a_place,
    reading_order.in_notebooks,
    reading_order.in_modules,
    reading_order.back_rooms_are_current,
    numbers.in_prose,
    numbers.in_alt_texts,
    numbers.measured_names,
    form.stored_clean,
    form.same_first_cell,
    form.short_cells,
    form.portable,
    form.heading_levels,
    form.folds,
    parts.in_order,
    parts.card_links,
    alt.texts,
    captions.texts,
    captions.numbers,
    exercises.agree,
    glossary_order.in_order,
    glossary_order.few_new_terms,
    traceability.objectives,
    traceability.asked_twice,
    traceability.bugs_are_whole,
)


def name(check: Callable[[Path], list[str]]) -> str:
    return f"{check.__module__.removeprefix('drift.')}.{check.__name__}"
