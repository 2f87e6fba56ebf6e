"""Grade a student's notebook: each answer runs in a process of its own and is judged in another."""
