"""Who may log in: SASL mechanisms, and the accounts behind them."""
