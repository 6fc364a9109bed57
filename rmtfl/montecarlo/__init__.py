"""Finite-width sampling: draws networks and measures them. It knows links and setups, and nothing that predicts."""
