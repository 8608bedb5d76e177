"""What a finished figure may not have: text off the page or over other text, a hidden point."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def check_layout(figure: Figure) -> None:
    """Fail if text leaves the page or overlaps other text, or if a legend covers a marker."""
    # Once for both: only what was drawn has a place.
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    _check_text(figure)
    _check_legends(figure)


def _check_text(figure: Figure) -> None:
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    for axis in figure.axes:
        texts = [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())
            # Ticks beyond the limits have labels, too, but those are not drawn.
            texts += [t.label1 for t in side.get_major_ticks() if low <= t.get_loc() <= high]
        for text in texts:
            if text.get_visible() and text.get_text():
                boxes.append((text.get_text(), text.get_window_extent()))
        if legend := axis.get_legend():
            boxes.append(("legend", legend.get_window_extent()))
    boxes += [("legend", legend.get_window_extent()) for legend in figure.legends]
    for words, box in boxes:
        inside = page.padded(1).count_contains([(box.x0, box.y0), (box.x1, box.y1)])
        assert inside == 2, f"{words} leaves the page"
    for i, (words, box) in enumerate(boxes):
        for others, other in boxes[i + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width < 1 or height < 1, f"{words!r} and {others!r} overlap"


def _check_legends(figure: Figure) -> None:
    for axis in figure.axes:
        legends = [*figure.legends, *filter(None, [axis.get_legend()])]
        boxes = [legend.get_window_extent() for legend in legends]
        for line in axis.get_lines():
            if line.get_marker() in ("None", "", "_"):
                continue
            for x, y in axis.transData.transform(line.get_xydata()):
                assert not any(box.contains(x, y) for box in boxes)
