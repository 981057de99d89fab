"""Who may ask: accounts, their keys and sessions, and how often they may."""
