"""The queue ``notifications``: signed webhooks to partners, and the partners' side of them."""
