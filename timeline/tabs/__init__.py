"""Tabs at their sockets: a tab's conversation, and what all tabs of a server hear of."""
