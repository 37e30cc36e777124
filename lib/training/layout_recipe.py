"""Train the tower of page layouts: a page and its sketches come together, in seconds."""

from collections.abc import Sequence

import torch

from lib.core.checks import check_count, check_seed
from lib.datasets.page_layouts import PER_DESIGN, Layout, sketch_layout
from lib.losses.infonce import infonce_loss
from lib.models.layout_encoder import LayoutTower, describe_layouts

TEMPERATURE, RATE, BATCH = 0.05, 2e-3, 252  # a batch is whole designs of four pages
DRAFTS = 6  # sketches of each page


def train_layout_tower(
    pages: Sequence[Layout], *, epochs: int = 12, seed: int = 0, drafts: int = DRAFTS
) -> LayoutTower:
    """Train a tower to bring a page and its sketches together, by InfoNCE in both directions.

    A batch holds whole designs, so that the pages hardest to tell apart stand in one batch.

    Args:
        pages: in an order where `PER_DESIGN` pages in a row share one design.
        epochs: passes over the pages; each takes the next of the drafts.
        seed: of the weights, the order and the sketches.
        drafts: sketches of each page.
    """
    seed, epochs = check_seed(seed), check_count(epochs, "epochs")
    n_designs = check_count(len(pages) // PER_DESIGN, "the number of designs in pages")
    drafts = min(check_count(drafts, "drafts"), epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = LayoutTower()
        target = torch.from_numpy(describe_layouts(pages, tower.grid))
        sketched = [
            torch.from_numpy(
                describe_layouts([sketch_layout(p, [seed, i, d]) for i, p in enumerate(pages)])
            )
            for d in range(drafts)
        ]
        steps = epochs * -(-n_designs * PER_DESIGN // BATCH)
        optimiser = torch.optim.AdamW(tower.parameters(), RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        tower.train()
        for epoch in range(epochs):
            designs = torch.randperm(n_designs)[:, None] * PER_DESIGN
            for batch in (designs + torch.arange(PER_DESIGN)).ravel().split(BATCH):
                queries, keys = tower(sketched[epoch % drafts][batch]), tower(target[batch])
                loss = infonce_loss(queries, keys, TEMPERATURE, direction="both")
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return tower.eval()
