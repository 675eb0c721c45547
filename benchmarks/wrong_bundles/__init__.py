"""Bundles that must not serve, each made of a good one as a broken trainer or a bad copy would."""
