"""What a runtime states is a claim: it is checked, bounded, and set aside where it is not plausible."""
