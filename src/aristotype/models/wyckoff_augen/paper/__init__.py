"""The published WyckoffAUGen (R. Chang and others, likelihoods of crystals on asymmetric units): its densities."""
