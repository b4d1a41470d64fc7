"""The tuner behind `./dev tune`: docs/tuner.md says what it does and why its figures may be trusted."""
