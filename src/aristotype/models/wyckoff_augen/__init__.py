"""The family WyckoffAUGen: crystals built site by site in asymmetric units."""
