"""Miniatures of XTD10, XM3600, xFlickr&CO and Flickr30k-CN: scenes with captions in many languages.

English captions are those of the scenes. In the other languages a caption lists what is there,
"2 × circle: red; 1 × star: blue", which needs no grammar. The words were written for this project
and not checked by native speakers.
"""

import base64
import json
import unicodedata
from pathlib import Path

import numpy as np

from lib.datasets.miniatures.writing import (
    Miniature,
    jpeg_bytes,
    write_csv,
    write_lines,
    write_pictures,
)
from lib.datasets.scenes import COLOURS, SHAPES, SceneBatch, captions, render, sample
from lib.datasets.xflickrco import LANGUAGES as XFLICKRCO_LANGUAGES
from lib.datasets.xm3600 import N_CAPTIONS
from lib.datasets.xtd10 import LANGUAGES as XTD10_LANGUAGES

_SHAPES = ("circle", "star", "heart", "moon")
_COLOURS = ("red", "blue", "green", "yellow")
# Names of these shapes, then of these colours, in the order above.
WORDS = {
    "ar": "دائرة, نجمة, قلب, قمر, أحمر, أزرق, أخضر, أصفر",
    "bn": "বৃত্ত, তারা, হৃদয়, চাঁদ, লাল, নীল, সবুজ, হলুদ",
    "cs": "kruh, hvězda, srdce, měsíc, červená, modrá, zelená, žlutá",
    "da": "cirkel, stjerne, hjerte, måne, rød, blå, grøn, gul",
    "de": "Kreis, Stern, Herz, Mond, rot, blau, grün, gelb",
    "el": "κύκλος, αστέρι, καρδιά, φεγγάρι, κόκκινο, μπλε, πράσινο, κίτρινο",
    "es": "círculo, estrella, corazón, luna, rojo, azul, verde, amarillo",
    "fa": "دایره, ستاره, قلب, ماه, قرمز, آبی, سبز, زرد",
    "fi": "ympyrä, tähti, sydän, kuu, punainen, sininen, vihreä, keltainen",
    "fil": "bilog, bituin, puso, buwan, pula, asul, berde, dilaw",
    "fr": "cercle, étoile, cœur, lune, rouge, bleu, vert, jaune",
    "he": "עיגול, כוכב, לב, ירח, אדום, כחול, ירוק, צהוב",
    "hi": "वृत्त, तारा, दिल, चाँद, लाल, नीला, हरा, पीला",
    "hr": "krug, zvijezda, srce, mjesec, crvena, plava, zelena, žuta",
    "hu": "kör, csillag, szív, hold, piros, kék, zöld, sárga",
    "id": "lingkaran, bintang, hati, bulan, merah, biru, hijau, kuning",
    "it": "cerchio, stella, cuore, luna, rosso, blu, verde, giallo",
    "ja": "円, 星, ハート, 月, 赤, 青, 緑, 黄色",
    "ko": "원, 별, 하트, 달, 빨강, 파랑, 초록, 노랑",
    "mi": "porohita, whetū, manawa, marama, whero, kahurangi, kākāriki, kōwhai",
    "nl": "cirkel, ster, hart, maan, rood, blauw, groen, geel",
    "no": "sirkel, stjerne, hjerte, måne, rød, blå, grønn, gul",
    "pl": "koło, gwiazda, serce, księżyc, czerwony, niebieski, zielony, żółty",
    "pt": "círculo, estrela, coração, lua, vermelho, azul, verde, amarelo",
    "quz": "muyu, quyllur, sunqu, killa, puka, anqas, q'umir, q'illu",
    "ro": "cerc, stea, inimă, lună, roșu, albastru, verde, galben",
    "ru": "круг, звезда, сердце, луна, красный, синий, зелёный, жёлтый",
    "sv": "cirkel, stjärna, hjärta, måne, röd, blå, grön, gul",
    "sw": "duara, nyota, moyo, mwezi, nyekundu, bluu, kijani, manjano",
    "te": "వృత్తం, నక్షత్రం, హృదయం, చంద్రుడు, ఎరుపు, నీలం, ఆకుపచ్చ, పసుపు",
    "th": "วงกลม, ดาว, หัวใจ, พระจันทร์, แดง, น้ำเงิน, เขียว, เหลือง",
    "tr": "daire, yıldız, kalp, ay, kırmızı, mavi, yeşil, sarı",
    "uk": "коло, зірка, серце, місяць, червоний, синій, зелений, жовтий",
    "vi": "hình tròn, ngôi sao, trái tim, mặt trăng, đỏ, xanh dương, xanh lá, vàng",
    "zh": "圆形, 星形, 心形, 月亮, 红色, 蓝色, 绿色, 黄色",
}
N_XTD10, N_VAL = 12, 4  # pictures, of which the last are of val2014
N_XM3600 = 10
N_XFLICKRCO = 12  # the second half of COCO
N_CN = {"test": 12, "valid": 3}
# Pictures with a trap each.
DECOMPOSED = 3  # its captions are in Unicode's form NFD
MARKED = 4  # Arabic and Hebrew with the mark from right to left, Persian with a joiner of no width
REPEATED = (5, 6)  # one Japanese caption of XTD10 describes both
FULL_WIDTH = 7  # Latin letters as wide as Chinese ones, as XTD10 has in places
THIRD = 2  # has a third German caption in XM3600
MORE, ONCE = "de", "bn"  # languages with more, and with just one caption a picture


def scenes_in_words(n: int, *, start: int) -> SceneBatch:
    """Draw test scenes of shapes and colours that have names in all languages, no two alike."""
    drawn = sample("test", 80 * n, start=start)
    shapes = [SHAPES.index(shape) for shape in _SHAPES]
    colours = [COLOURS.index(colour) for colour in _COLOURS]
    named = np.isin(drawn.shape, shapes).all(axis=1) & np.isin(drawn.colour, colours).all(axis=1)
    # Twice the same groups would be twice the same caption.
    groups = np.sort(1000 * drawn.shape + 10 * drawn.colour + drawn.count, axis=1)
    _, first = np.unique(groups, axis=0, return_index=True)
    named &= np.isin(np.arange(len(drawn)), first)
    return drawn[np.flatnonzero(named)[:n]]


def captions_in(language: str, scenes: SceneBatch) -> list[tuple[str, str]]:
    """Write two captions of each scene; outside English the second names the groups in turn."""
    if language == "en":
        return [(five[0], five[1]) for five in captions(scenes)]
    words = WORDS[language].split(", ")
    shape_names = dict(zip(map(SHAPES.index, _SHAPES), words[:4]))
    colour_names = dict(zip(map(COLOURS.index, _COLOURS), words[4:]))
    found = []
    for pairs in zip(scenes.count.tolist(), scenes.shape.tolist(), scenes.colour.tolist()):
        groups = [f"{n} × {shape_names[s]}: {colour_names[c]}" for n, s, c in zip(*pairs)]
        found.append(("; ".join(groups), "; ".join(groups[::-1])))
    found[DECOMPOSED % len(found)] = tuple(
        unicodedata.normalize("NFD", text) for text in found[DECOMPOSED % len(found)]
    )
    mark = {"ar": "\u200f", "he": "\u200f", "fa": "\u200c"}.get(language)
    if mark:
        found[MARKED] = tuple(text.replace(":", f"{mark}:") for text in found[MARKED])
    return found


def write_xtd10(root: Path) -> Miniature:
    """Write 12 pictures of COCO's names with a caption in each of eleven languages.

    Files lie as in the authors' repository: `XTD10/`, `MIC/` (German, French) and `STAIR/`
    (Japanese). Traps: names of both years of COCO, a file without an end of line, one with carriage
    returns, a space at the end of a caption, one caption of two pictures, letters of double width,
    and a caption in decomposed letters.
    """
    scenes = scenes_in_words(N_XTD10, start=2_000)
    names = [
        f"COCO_{'val' if at >= N_XTD10 - N_VAL else 'train'}2014_{900_101 + at:012d}.jpg"
        for at in range(N_XTD10)
    ]
    write_pictures(scenes, [root / name.split("_")[1] / name for name in names])
    for folder in ("XTD10", "MIC", "STAIR"):
        (root / folder).mkdir()
    write_lines(root / "XTD10" / "test_image_names.txt", names)
    for language in XTD10_LANGUAGES:
        texts = [two[0] for two in captions_in({"jp": "ja"}.get(language, language), scenes)]
        if language == "en":
            texts[0] += " "
        if language == "jp":
            texts[REPEATED[1]] = texts[REPEATED[0]]
        if language == "zh":
            texts[FULL_WIDTH] += "，Ｗｉｉ"
        folder = {"de": "MIC", "fr": "MIC", "jp": "STAIR"}.get(language, "XTD10")
        end = "\r\n" if language == "tr" else "\n"
        text = end.join(texts) + ("" if language == "jp" else end)
        (root / folder / f"test_1kcaptions_{language}.txt").write_bytes(text.encode())
    return Miniature({"test": {"images": N_XTD10, "captions": N_XTD10}})


def write_xm3600(root: Path) -> Miniature:
    """Write 10 pictures and `captions.jsonl` with 36 languages, two captions each.

    Traps: one caption a picture in Bengali, three of one picture in German, scripts from right to
    left with their marks, captions in decomposed letters, letters escaped in some lines only, and
    the tokenised copies of the captions beside them.
    """
    scenes = scenes_in_words(N_XM3600, start=3_000)
    keys = [f"{0x5EED000000000000 + 977 * at:016x}" for at in range(N_XM3600)]
    write_pictures(scenes, [root / "images" / f"{key}.jpg" for key in keys])
    texts = {language: list(map(list, captions_in(language, scenes))) for language in N_CAPTIONS}
    texts[ONCE] = [two[:1] for two in texts[ONCE]]
    texts[MORE][THIRD].append("Zwei Gruppen auf einem Blatt")
    lines = []
    for at, key in enumerate(keys):
        entry = {"image/key": key, "image/locale": list(N_CAPTIONS)[at]}
        for language in sorted(N_CAPTIONS):
            found = texts[language][at]
            entry[language] = {
                "caption": found,
                "caption/tokenized": [text.replace(";", " ;") for text in found],
                "caption/tokenized/lowercase": [text.replace(";", " ;").lower() for text in found],
            }
        lines.append(json.dumps(entry, ensure_ascii=at % 2 == 0))
    write_lines(root / "captions.jsonl", lines)
    sizes = {language: sum(map(len, found)) for language, found in texts.items()}
    counts = {f"captions, {language}": n for language, n in sizes.items()}
    return Miniature({"test": {"images": N_XM3600, **counts, "captions, all": sum(sizes.values())}})


def write_xflickrco(root: Path) -> Miniature:
    """Write 6 pictures of Flickr30K's names and 6 of COCO's, with sentences in eight languages.

    Traps: ids that are strings for Flickr30K and numbers for COCO, as in the files, and a sentence
    in decomposed letters.
    """
    scenes = scenes_in_words(N_XFLICKRCO, start=6_000)
    half = N_XFLICKRCO // 2
    ids = [str(3_000_000_101 + at) for at in range(half)]
    ids += [900_201 + at for at in range(half)]
    names = [
        f"{id_}.jpg" if isinstance(id_, str) else f"COCO_val2014_{id_:012d}.jpg" for id_ in ids
    ]
    folders = ["flickr30k-images"] * half + ["val2014"] * half
    write_pictures(scenes, [root / folder / name for folder, name in zip(folders, names)])
    for language in XFLICKRCO_LANGUAGES:
        folder = root / "annotations" / language
        folder.mkdir(parents=True)
        entries = [
            {"sentences": [two[0]], "id": id_, "img_path": name}
            for two, id_, name in zip(captions_in(language, scenes), ids, names)
        ]
        lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
        write_lines(folder / "test.jsonl", lines)
    return Miniature({"test": {"images": N_XFLICKRCO, "captions": N_XFLICKRCO}})


def write_flickr30k_cn(root: Path) -> Miniature:
    """Write 12 test pictures and 3 for validation, with five Chinese sentences each.

    Inside are Chinese-CLIP's `test_texts.jsonl` and `test_imgs.tsv` (pictures in base64), the
    numbered lines `flickr30k_cn_test.txt`, CLIP_benchmark's `flickr30k_test_zh.txt`, and the
    pictures as files. Traps: sentences with the comma of ASCII, which CSV quotes, and with that of
    Chinese; ids of texts that are numbers and equal none of a picture.
    """
    counts = {}
    for part, n in N_CN.items():
        first = 3_000_000_001 if part == "test" else 2_000_000_001
        scenes = scenes_in_words(n, start=4_000 if part == "test" else 5_000)
        items = [first + at for at in range(n)]
        sentences = [_five(two) for two in captions_in("zh", scenes)]
        write_pictures(scenes, [root / "flickr30k-images" / f"{item}.jpg" for item in items])
        rows = [(item, at, t) for item, five in zip(items, sentences) for at, t in enumerate(five)]
        entries = [
            {"text_id": number, "text": text, "image_ids": [item]}
            for number, (item, _, text) in enumerate(rows)
        ]
        write_lines(
            root / f"{part}_texts.jsonl", [json.dumps(e, ensure_ascii=False) for e in entries]
        )
        write_lines(
            root / f"{part}_imgs.tsv",
            [
                f"{item}\t{base64.b64encode(jpeg_bytes(pixels)).decode()}"
                for item, pixels in zip(items, render(scenes))
            ],
        )
        if part == "test":
            numbered = [f"{item}#zhm#{at}\t{text}" for item, at, text in rows]
            write_lines(root / "flickr30k_cn_test.txt", numbered)
            cells = [("image", "caption"), *((f"{item}.jpg", text) for item, _, text in rows)]
            write_csv(root / "flickr30k_test_zh.txt", cells, lineterminator="\n")
        split = {"valid": "val"}.get(part, part)
        counts[split] = {"images": n, "captions": 5 * n}
    return Miniature(counts)


def _five(two: tuple[str, str]) -> list[str]:
    one, other = two
    return [
        one.replace("; ", "，"),
        other.replace("; ", "，"),
        one.replace("; ", ", "),
        f"图中有{one.replace('; ', '和')}",
        f"图中有{other.replace('; ', '和')}",
    ]
