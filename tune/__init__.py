"""The tuner behind `./dev tune`: docs/tuning.md says what it does and why its figures may be trusted."""
