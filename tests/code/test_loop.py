"""loop: four lines in the right order, held against the same steps written out."""

import pytest
import torch

from gpt2_tutorial import loop
from gpt2_tutorial.bigram import BigramLM


def batches(count):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, (count, 2, 9), generator=generator)
    return iter([(x[:, :-1], x[:, 1:]) for x in ids])


def test_fit_takes_the_steps_of_gradient_descent():
    model, source = BigramLM(5), batches(6)
    downhill = torch.optim.SGD(model.parameters(), lr=0.7)
    losses = loop.fit(model, lambda: next(source), downhill, steps=6)
    table = torch.zeros(5, 5, requires_grad=True)
    for (x, y), expected in zip(batches(6), losses, strict=True):
        loss = torch.nn.functional.cross_entropy(table[x].flatten(0, 1), y.flatten())
        (gradient,) = torch.autograd.grad(loss, table)
        assert loss.item() == pytest.approx(expected, abs=1e-6)
        table = (table - 0.7 * gradient).detach().requires_grad_()
    torch.testing.assert_close(model.table, table)


def test_old_gradients_are_wiped_before_the_first_step():
    model, source = BigramLM(5), batches(1)
    model.table.grad = torch.full((5, 5), 1e6)
    loop.fit(model, lambda: next(source), torch.optim.SGD(model.parameters(), lr=1.0), steps=1)
    assert model.table.abs().max() < 1


def test_no_steps_change_nothing():
    model = BigramLM(5)
    nothing = loop.fit(model, None, torch.optim.SGD(model.parameters(), lr=1.0), steps=0)
    assert nothing == [] and model.table.abs().max() == 0


class Remembers(BigramLM):
    """Keeps what it was shown, and in which mood."""

    def forward(self, idx, targets=None):
        self.shown = [*getattr(self, "shown", []), (idx.shape, self.training)]
        return super().forward(idx, targets)


def test_sample_looks_back_at_most_its_context_and_leaves_the_mood_alone():
    model = Remembers(5)
    ids = loop.sample(model, [0, 1, 2], 4, context=2, generator=torch.Generator().manual_seed(0))
    assert len(ids) == 7 and ids[:3] == [0, 1, 2]
    assert model.shown == [((1, 2), False)] * 4
    assert model.training


def test_sample_draws_what_the_logits_say():
    model = BigramLM(3)
    model.table.data = torch.tensor([[-99.0, 0, -99], [-99, -99, 0], [0, -99, -99]])
    assert loop.sample(model, [0], 5, context=1) == [0, 1, 2, 0, 1, 2]


def test_the_same_dice_write_the_same_text():
    first, second = (
        loop.sample(BigramLM(65), [0], 20, context=1, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert first == second


def test_sample_keeps_no_gradients():
    model = BigramLM(5)
    loop.sample(model, [0], 3, context=1)
    assert model.table.grad is None


@pytest.mark.parametrize(("start", "context"), [([], 1), ([0], 0), ([0], -2)])
def test_nothing_to_look_at_is_refused(start, context):
    with pytest.raises(ValueError, match=f"not .* and {context}"):
        loop.sample(BigramLM(5), start, 3, context=context)
