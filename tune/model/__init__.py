"""Candidates by a model in the place of a machine: cycles of the instructions that an emulator sees them execute.
docs/model.md says what it is good for."""
