"""Training: recipes, schedules, warm start and the engine."""
