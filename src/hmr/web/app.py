"""The Gradio app: the parts of the page and what each action does."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmr.errors import UserError, to_install
from hmr.files.video import VIDEO_SUFFIXES
from hmr.web.estimator import (
    MOST_FRAMES,
    SAMPLES,
    SAMPLES_FOLDER,
    Box,
    Estimator,
    PageResult,
    Photo,
    box_of_drawing,
    discard,
    drawing_of_box,
    open_photo,
)
from hmr.web.guard import SECONDS_KEPT, Guard

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
# Gradio reads this when it is imported; it turns off usage statistics and the version check.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

# Gradio asks its own page whether it is up, by a library that would send this through a proxy, or
# fail where it cannot speak the proxy's protocol. The page asks no other machine.
for _name in [name for name in os.environ if name.lower() in _PROXIES]:
    del os.environ[_name]

try:
    import gradio as gr
    from gradio_image_annotation import image_annotator
except ImportError as missing:
    raise UserError(f"the web page needs {missing.name}: {to_install('web')}") from missing

TITLE = "Bodies from photos and videos"
STAGE_PX = 480
BOX_COLOR = (47, 111, 181)
CAMERA = (90, 80, None)  # degrees around and down; so far away that everything is seen
SECONDS_BETWEEN_CLEANINGS = 60
_CSS_FILE = Path(__file__).with_name("page.css")
_READY = "Everyone is found. Or drag a box around the one person whom you mean."
_MATCH = "Match my picture: move bodies onto the keypoints that are found (not in a drawn box)"
_START = "Begin with a photo of yours, or with a sample."
_START_VIDEO = (
    f"Begin with a video of yours: of longer ones the first {MOST_FRAMES} frames are taken. Each "
    "second of it takes several."
)
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}
_NETWORK = "network"
"""Actions of this name wait for each other."""
_PROGRESS = gr.Progress()

# A browser takes the graphics card away from a page now and then; its mesh is then blank.
_LOST_CONTEXT = """<script>
addEventListener("webglcontextlost", () => {
  document.querySelector("#notice").insertAdjacentHTML("beforeend",
    '<p class="error">The browser has taken the graphics card away: the mesh is not shown. '
    + 'Reload the page; the files open in any 3D viewer.</p>');
}, true);
</script>"""

Shown = tuple[Any, ...]


def build_app(estimator: Estimator, about: str) -> gr.Blocks:
    """The page.

    Args:
        estimator: estimates the bodies and keeps their files.
        about: a line about the model, shown below the title.
    """
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(SECONDS_BETWEEN_CLEANINGS, SECONDS_KEPT)
    ) as page:
        gr.Markdown(f"# {TITLE}\n{about}", elem_id="title")
        with gr.Tab("Photo"), gr.Row():
            _photo_tab(estimator)
        with gr.Tab("Video"), gr.Row():
            page.unload(_video_tab(estimator))
    return page


def _photo_tab(estimator: Estimator) -> None:
    photo, result = gr.State(None), gr.State(None, delete_callback=discard)
    with gr.Column():
        file = gr.File(label="Your photo", file_types=["image"], height=130, elem_id="photo-file")
        samples = _samples()
        person = image_annotator(
            label="The person", sources=[], single_box=True, disable_edit_boxes=True,
            boxes_alpha=0.12, box_min_size=4, show_clear_button=False,
            show_download_button=False, enable_keyboard_shortcuts=False,
            image_type="numpy", visible=False, elem_id="person",
        )  # fmt: skip
        match = gr.Checkbox(True, label=_MATCH, elem_id="match")
        notice = gr.Markdown(_START, elem_id="notice")
        go = gr.Button("Estimate the body", variant="primary", interactive=False)
        files = _files("files")
    with gr.Column():
        overlay, mesh = _views()
    outputs = [result, overlay, mesh, files]
    opened = [photo, person, notice, go, *outputs]

    def show(path: str | None, box: Box | None, before: PageResult | None) -> Shown:
        discard(before)
        return (*_opened(path, box), None, None, None, None)

    def show_upload(path: str | None, before: PageResult | None) -> Shown:
        return show(path, None, before)

    def show_sample(before: PageResult | None, choice: gr.SelectData) -> Shown:
        name = list(SAMPLES)[choice.index]
        return show(str(SAMPLES_FOLDER / name), SAMPLES[name], before)

    def estimate(photo: Photo, drawn: dict, match: bool, before: PageResult | None) -> Shown:
        discard(before)
        return _estimated(estimator, photo, drawn, match)

    gr.on([file.upload, file.clear], show_upload, [file, result], opened, **_PRIVATE)
    samples.select(show_sample, [result], opened, **_PRIVATE)
    inputs = [photo, person, match, result]
    go.click(estimate, inputs, [notice, *outputs], concurrency_id=_NETWORK, **_PRIVATE)


def _video_tab(estimator: Estimator) -> Callable[[gr.Request], None]:
    """Builds the tab; returns what stops the work on the video of a visitor who leaves."""
    result = gr.State(None, delete_callback=discard)
    with gr.Column(scale=1):
        file = gr.File(
            label="Your video", file_types=list(VIDEO_SUFFIXES), height=130, elem_id="video-file"
        )
        notice = gr.Markdown(_START_VIDEO, elem_id="video-notice")
        go = gr.Button("Estimate the motion", variant="primary", interactive=False)
        files = _files("video-files")
    with gr.Column(scale=2):
        player = gr.HTML(min_height=STAGE_PX, container=True, elem_id="player")
    outputs = [result, player, files]
    waiting: set[str | None] = set()  # sessions of visitors whose video is worked on

    def leave(request: gr.Request) -> None:
        waiting.discard(request.session_hash)

    def show_upload(path: str | None, before: PageResult | None) -> Shown:
        discard(before)
        return _START_VIDEO, gr.update(interactive=path is not None), None, None, None

    def estimate(
        path: str, before: PageResult | None, request: gr.Request, progress: Any = _PROGRESS
    ) -> Shown:
        discard(before)
        waiting.add(request.session_hash)

        def advance(*done: int) -> None:
            if request.session_hash not in waiting:
                raise UserError("stopped: the visitor has left")
            progress(done, unit="frames")

        try:
            made = estimator.estimate_video(path, advance)
        except UserError as error:
            return _error(error), None, None, None
        finally:
            leave(request)
        return made.about, made, _framed(made.shown), list(map(str, made.files))

    uploaded = [notice, go, *outputs]
    gr.on([file.upload, file.clear], show_upload, [file, result], uploaded, **_PRIVATE)
    shown = {"concurrency_id": _NETWORK, "show_progress_on": player, **_PRIVATE}
    go.click(estimate, [file, result], [notice, *outputs], **shown)
    return leave


def _files(name: str) -> gr.File:
    return gr.File(label="Files", file_count="multiple", interactive=False, elem_id=name)


def _framed(page: Path) -> str:
    """An html file as a part of the page, in an origin of its own."""
    text = html.escape(page.read_text("utf-8"))
    return (
        f'<iframe title="the motion" sandbox="allow-scripts" srcdoc="{text}" '
        f'style="width: 100%; height: {STAGE_PX}px; border: 0"></iframe>'
    )


def launch(page: gr.Blocks, host: str, port: int) -> str:
    """Starts the server in threads of its own, and returns its address."""
    from starlette.middleware import Middleware

    _, address, _ = page.queue(default_concurrency_limit=1).launch(
        server_name=host, server_port=port, share=False, quiet=True, prevent_thread_lock=True,
        show_error=True, ssr_mode=False, footer_links=[], max_file_size="200mb",
        theme=gr.themes.Default(primary_hue="blue", font=[gr.themes.Font("sans-serif")]),
        css_paths=[_CSS_FILE], head=_LOST_CONTEXT,
        app_kwargs={"middleware": [Middleware(Guard, host=host, uploads=_uploads())]},
    )  # fmt: skip
    return address


def _uploads() -> Path:
    return Path(os.environ["GRADIO_TEMP_DIR"])


def _samples() -> gr.Gallery:
    """The samples, served from where they lie: copies among the uploads would be cleaned away."""
    gr.set_static_paths([SAMPLES_FOLDER])
    return gr.Gallery(
        [str(SAMPLES_FOLDER / name) for name in SAMPLES],
        label="Or a sample", columns=len(SAMPLES), height=210, allow_preview=False,
        object_fit="cover", buttons=[], interactive=False, elem_id="samples",
    )  # fmt: skip


def _views() -> tuple[gr.ImageSlider, gr.Model3D]:
    """What an estimate is shown in: the picture with its overlay, and the mesh."""
    overlay = gr.ImageSlider(
        label="Photo and body", format="jpeg", height=STAGE_PX, max_height=STAGE_PX,
        buttons=["fullscreen"], interactive=False, elem_id="overlay",
    )  # fmt: skip
    mesh = gr.Model3D(
        label="Everyone's mesh: drag to turn, scroll to zoom", height=STAGE_PX,
        camera_position=CAMERA, interactive=False, elem_id="mesh",
    )  # fmt: skip
    return overlay, mesh


def _estimated(estimator: Estimator, photo: Photo, drawn: dict, match: bool) -> Shown:
    """Notice, result, overlay, mesh and files after the button was pressed."""
    try:
        made = estimator.estimate(photo, box_of_drawing(drawn["boxes"], photo), match)
    except UserError as error:
        return _error(error), None, None, None, None
    notice = f"{made.about} Drag the line in the picture to compare."
    # Everyone is seen at first: the photo alone is shown to the left of the line.
    compared = gr.update(value=(photo.shown, made.overlay), slider_position=made.seen_from)
    # The viewer hands its camera back, and would look at the next mesh from the same distance.
    mesh = gr.update(value=str(made.shown), camera_position=CAMERA)
    return notice, made, compared, mesh, list(map(str, made.files))


def _opened(path: str | None, box: Box | None) -> Shown:
    """Photo, drawing, notice and button after a file was chosen, or taken away."""
    if path is None:
        return None, gr.update(value=None, visible=False), _START, gr.update(interactive=False)
    try:
        photo = open_photo(path)
    except UserError as error:
        hidden, off = gr.update(value=None, visible=False), gr.update(interactive=False)
        return None, hidden, _error(error), off
    boxes = [{**drawing_of_box(box, photo), "color": BOX_COLOR}] if box else []
    drawing = gr.update(value={"image": photo.shown, "boxes": boxes}, visible=True)
    return photo, drawing, _READY, gr.update(interactive=True)


def _error(error: UserError) -> str:
    """The message as HTML, escaped: a file name in it may hold markup."""
    text = str(error).replace("&", "&amp;").replace("<", "&lt;")
    return f'<span class="error">{text}</span>'
