"""Compare contrastive losses: quality by equal budgets, claims of the literature, memory."""
