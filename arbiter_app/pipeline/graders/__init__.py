"""Objective checks of an answer. Each is bounded in size and time, never executes anything, and never raises."""
