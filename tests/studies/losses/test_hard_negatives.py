"""Hard negatives of scenes: the probability to draw the twin."""

import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.trained_models import load_model
from lib.studies.losses.hard_negatives import batch_cosines, twin_shares
from lib.training.batches import SceneStream

# Four texts; the twin of 0 is 2, that of 1 is 3. Text 0 is true of image 1 too.
SIMILARITIES = torch.log(torch.tensor([[8.0, 2, 1, 1], [1, 8, 1, 2], [1, 1, 8, 2], [4, 3, 1, 8]]))
RIGHT = torch.eye(4, dtype=torch.bool)
RIGHT[0, 1] = True


def test_shares_are_probabilities_of_the_draw():
    even, as_it_is = twin_shares(SIMILARITIES, RIGHT, (0, 1))
    # Evenly: text 0 has two wrong images left, the others three.
    assert even["twin"] == pytest.approx(100 * (1 / 2 + 3 / 3) / 4)
    # By weight: the twin has 1 of 2, 2 of 4, 1 of 4 and 3 of 8.
    assert as_it_is == {
        "sharpness": 1,
        "twin": pytest.approx(100 * (1 / 2 + 2 / 4 + 1 / 4 + 3 / 8) / 4),
    }


def test_cosines_are_those_of_the_encoders():
    dual = load_model("scenes")
    batch = SceneStream(dual.tokenizer, 8, seed=5, twins=True).batch(0)
    found = batch_cosines(dual, batch)
    pixels = (255 * batch.images).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    images = torch.from_numpy(dual.encode_image(pixels))
    with torch.inference_mode():
        texts = torch.nn.functional.normalize(dual.network.encode_text(batch.tokens), dim=1)
    torch.testing.assert_close(found, texts @ images.T, atol=1e-5, rtol=0)


def test_refuses_a_batch_without_twins():
    with pytest.raises(RetrievalInputError, match="even, got 3"):
        twin_shares(SIMILARITIES[:3, :3], RIGHT[:3, :3], (1,))
