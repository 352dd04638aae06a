"""Data sets of rendered stills: pictures, exact boxes in COCO form, made by several processes, resumable.

A still depends on the recipe and its own number alone, not on how many processes work or on what was made before.
``BLOCK`` neighbouring stills show the same store: one assortment, whose packages are drawn once.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import ConfigError, ShelfvisionError
from shelfvision.sim.artefacts import finish
from shelfvision.sim.pack_views import SpriteCache
from shelfvision.sim.packaging import FAMILIES, Packaging
from shelfvision.sim.photographs import list_pictures, load_pack_shot, load_photograph
from shelfvision.sim.products import make_assortment
from shelfvision.sim.reaching import Peopled, add_people, make_cast
from shelfvision.sim.scene import Scene
from shelfvision.sim.scene_settings import MAX_SIZE, MIN_SIZE, SceneSettings, random_settings
from shelfvision.sim.still_truth import CATEGORIES, annotate

Image = NDArray[np.uint8]
BLOCK = 120
VERSION = 10  # of the renderer: a folder begun by another version is not continued
_TRIES = 6
_PARTS = 6  # of the work for each process, at least


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a data set of stills, number by number.

    Raises:
        ConfigError: listing every value that cannot be.
    """

    seed: int = 0
    size: tuple[int, int] = (1280, 960)
    products: int = 120  # SKUs of each store
    people: float = 0.0  # share of stills with hands in front of the shelf
    families: tuple[str, ...] = tuple(FAMILIES)
    pack_shots: str | None = None
    textures: str | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.seed < 0:
            faults.append(f"--seed: {self.seed}, must be 0 or more")
        if not all(MIN_SIZE <= side <= MAX_SIZE for side in self.size):
            faults.append(f"--size: {self.size[0]}x{self.size[1]}, each side must be {MIN_SIZE} to {MAX_SIZE} pixels")
        if not 1 <= self.products <= 2000:
            faults.append(f"--products: {self.products}, must be 1 to 2000")
        if not 0 <= self.people <= 1:
            faults.append(f"--people: {self.people:g}, must be 0 to 1")
        unknown = [family for family in self.families if family not in FAMILIES]
        if unknown or not self.families:
            faults.append(f"--families: {', '.join(unknown) or 'none'}; choose from {', '.join(FAMILIES)}")
        if faults:
            raise ConfigError("\n".join(faults))


@dataclass(frozen=True, slots=True)
class Still:
    """One rendered picture with its truth."""

    image: Image
    annotations: list[dict[str, object]]
    settings: SceneSettings
    instance_map: NDArray[np.int32]  # products by their scene's identity, then hands


class Store:
    """The assortment that a block of stills shares, and its drawn packages."""

    def __init__(self, recipe: Recipe, block: int) -> None:
        self.recipe = recipe
        self.block = block
        rng = np.random.default_rng([recipe.seed, block, 1])
        textures = Path(recipe.textures) if recipe.textures else None
        self.assortment: list[Packaging] = make_assortment(
            rng,
            recipe.products,
            families=recipe.families,
            pack_shots=Path(recipe.pack_shots) if recipe.pack_shots else None,
            textures=textures,
        )
        self.photographs = list_pictures(textures, "--textures") if textures else []
        self.cache = SpriteCache(240_000_000)
        self.cast = make_cast(int(rng.integers(2**31)))

    def still(self, number: int, *, settings: SceneSettings | None = None) -> Still:
        """Still ``number`` of the data set; with ``settings`` of that kind instead of a random one.

        Raises:
            ConfigError: nothing of the assortment fits the given settings, or not even any of several random ones.
        """
        recipe = self.recipe
        for attempt in range(1 if settings is not None else _TRIES):
            rng = np.random.default_rng([recipe.seed, number, 2, attempt])
            chosen = settings if settings is not None else random_settings(rng, recipe.size)
            backdrop = None
            if self.photographs and rng.random() < 0.75:
                backdrop = load_photograph(self.photographs[int(rng.integers(len(self.photographs)))])
            try:
                scene = Scene(
                    chosen,
                    np.random.SeedSequence([recipe.seed, number, 3, attempt]),
                    assortment=self.assortment,
                    cache=self.cache,
                    backdrop=backdrop,
                )
            except ConfigError:
                if settings is not None or attempt == _TRIES - 1:
                    raise
                continue
            if scene.slots or attempt == _TRIES - 1 or settings is not None:
                break
        shown = Peopled(scene.render(), scene.instance_map)
        if rng.random() < recipe.people:
            shown = add_people(scene, self.cast, rng)
        annotations = annotate(scene, shown.instance_map, shown.hands, shown.held, prefix=f"{self.block:04d}-")
        return Still(finish(shown.image, chosen, rng), annotations, chosen, shown.instance_map)


def name_of(number: int) -> str:
    """File name of a still without its suffix."""
    return f"{number:06d}"


def make_stills(
    out: Path,
    count: int,
    recipe: Recipe,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _count: None,
) -> Path:
    """Render a data set into a folder; a folder begun with the same recipe is continued.

    Args:
        out: gets ``images/000000.jpg``.., ``annotations.json`` (COCO) and ``recipe.json``.
        count: stills in the finished set; more than before extends it.
        recipe: what they show.
        workers: processes.
        on_progress: called with stills done and stills wanted.

    Returns:
        The annotation file.

    Raises:
        ConfigError: impossible values, an unusable picture folder, or a folder begun with another recipe.
    """
    if count < 1:
        raise ConfigError(f"--count: {count}, at least 1 still is needed")
    if workers < 1:
        raise ConfigError(f"--workers: {workers}, at least 1 is needed")
    _check_pictures(recipe)
    _begin(out, recipe)
    missing = [number for number in range(count) if not _truth_file(out, number).is_file()]
    blocks: dict[int, list[int]] = {}
    for number in missing:
        blocks.setdefault(number // BLOCK, []).append(number)
    done = count - len(missing)
    on_progress(done, count)
    for _ in _work(out, recipe, blocks, workers):
        done += 1
        on_progress(done, count)
    return _gather(out, count, recipe)


def _check_pictures(recipe: Recipe) -> None:
    """Look at every picture once before the work starts, so that a broken one is told now and not hours later."""
    if recipe.textures:
        list_pictures(Path(recipe.textures), "--textures")
    if recipe.pack_shots:
        faults = []
        for path in list_pictures(Path(recipe.pack_shots), "--pack-shots"):
            try:
                load_pack_shot(path)
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ConfigError("\n".join(f"--pack-shots {fault}" for fault in faults[:5]))


def _begin(out: Path, recipe: Recipe) -> None:
    words = json.dumps({"version": VERSION, **asdict(recipe)}, indent=2)
    path = out / "recipe.json"
    try:
        for folder in (out / "images", out / "truth"):
            folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.read_text() != words:
                raise ConfigError(f"{out}: was begun with another recipe (see {path}); give another --out or delete it")
            return
        if any((out / "images").iterdir()):
            raise ConfigError(f"{out}: holds pictures that are not ours; give an empty folder")
        _write(path, words.encode())
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}") from error


def _truth_file(out: Path, number: int) -> Path:
    return out / "truth" / f"{name_of(number)}.json"


def _write(path: Path, data: bytes) -> None:
    """Write beside the final name, then move: a file is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)


def _work(out: Path, recipe: Recipe, blocks: dict[int, list[int]], workers: int) -> Iterator[int]:
    """Render block by block; yields each still's number when it is on the disk."""
    if workers == 1 or (len(blocks) <= 1 and sum(map(len, blocks.values())) < 2 * workers):
        for block, numbers in blocks.items():
            for number in numbers:
                _render_to_disk(str(out), recipe, block, number)
                yield number
        return
    # the store of a block is made again in each process that gets a part of it: parts as large as keeps all at work
    part = int(np.clip(sum(map(len, blocks.values())) // (_PARTS * workers), 10, BLOCK))
    tasks = [
        (block, numbers[start : start + part])
        for block, numbers in blocks.items()
        for start in range(0, len(numbers), part)
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        waiting = {pool.submit(_render_several, str(out), recipe, block, numbers) for block, numbers in tasks}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield from future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker() -> None:
    cv2.setNumThreads(1)


@lru_cache(maxsize=1)
def _store(recipe: Recipe, block: int) -> Store:
    return Store(recipe, block)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Scenes are made of very many small objects in no cycle: looking for cycles among them would be time lost."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _render_several(out: str, recipe: Recipe, block: int, numbers: Iterable[int]) -> list[int]:
    return [_render_to_disk(out, recipe, block, number) for number in numbers]


def _render_to_disk(out: str, recipe: Recipe, block: int, number: int) -> int:
    store = _store(recipe, block)
    with _uncollected():
        still = store.still(number)
    done, coded = cv2.imencode(".jpg", still.image, [cv2.IMWRITE_JPEG_QUALITY, still.settings.jpeg_quality])
    if not done:
        raise ShelfvisionError(f"still {number}: cannot be written as JPEG")
    folder = Path(out)
    try:
        _write(folder / "images" / f"{name_of(number)}.jpg", coded.tobytes())
        _write(_truth_file(folder, number), json.dumps(still.annotations).encode())
    except OSError as error:
        raise ShelfvisionError(f"{folder}: {error.strerror}") from error
    return number


def _gather(out: Path, count: int, recipe: Recipe) -> Path:
    """One COCO file of all stills."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number in range(count):
        image = {"id": number + 1, "file_name": f"images/{name_of(number)}.jpg"}
        images.append(image | {"width": recipe.size[0], "height": recipe.size[1]})
        for annotation in json.loads(_truth_file(out, number).read_bytes()):
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, **annotation})
    info = {"description": "shelfvision simulate images", "version": str(VERSION), "seed": recipe.seed}
    document = {"info": info, "images": images, "categories": list(CATEGORIES), "annotations": annotations}
    path = out / "annotations.json"
    _write(path, json.dumps(document).encode())
    return path


def contact_sheet(out: Path, numbers: Iterable[int], *, columns: int = 6, width: int = 320) -> Image:
    """Stills of a finished set side by side.

    Args:
        out: the set's folder.
        numbers: which stills, row by row.
        columns: stills a row.
        width: of each in pixels.
    """
    cells = []
    for number in numbers:
        picture = cv2.imread(str(out / "images" / f"{name_of(number)}.jpg"))
        if picture is None:
            raise ConfigError(f"{out}: still {number} is missing or broken")
        height = round(width * picture.shape[0] / picture.shape[1])
        cells.append(np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    return np.vstack(rows)


def write_sheet(path: Path, sheet: Image) -> None:
    """Write a contact sheet.

    Raises:
        ConfigError: the name is not that of a PNG or JPEG, or it cannot be written.
    """
    if path.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise ConfigError(f"--sheet {path}: name it *.png or *.jpg")
    _, coded = cv2.imencode(path.suffix.lower(), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])
    try:
        path.write_bytes(coded.tobytes())
    except OSError as error:
        raise ConfigError(f"--sheet {path}: {error.strerror}") from error
