"""The bench programs; ``python -m palaver.test.bench`` runs them."""
