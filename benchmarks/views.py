"What making two views costs beside the training step that uses them."
import statistics
import time

import torch

from otcxr.augment import augment_preset, two_views
from otcxr.encoder import Encoder


def _clock(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def rows(quick=False, batch=64, sizes=(96, 128)):
    "Both views of a batch from 128-px uint8 images, in turn with a ResNet-18's forward and backward on both views; 2 threads, float32."
    threads, out = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        x = torch.randint(0, 256, (batch, 1, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        for size in sizes:
            net = Encoder('resnet18', size=size).train()
            views = [v.images for v in two_views(x, augment_preset('cxr', size))]
            both = lambda: sum(net(v).pooled.square().mean() for v in views).backward()
            presets = {name: augment_preset(name, size) for name in ('cxr', 'paper')}
            times = {name: [] for name in ('step', *presets)}
            for i in range(2 if quick else 5):
                step = _clock(both)
                made = {name: _clock(lambda: two_views(x, cfg)) for name, cfg in presets.items()}
                if i:
                    for name, t in {'step': step, **made}.items(): times[name].append(t)
            for name in presets:
                ratio = statistics.median(a / b for a, b in zip(times[name], times['step']))
                out.append(dict(what=f'two views, {name}, batch {batch}, {size} px', ours=f'{1000*statistics.median(times[name]):.1f} ms',
                                against=f"ResNet-18 step {1000*statistics.median(times['step']):.0f} ms", ratio=ratio, target='< 0.15', holds=ratio < .15))
    finally: torch.set_num_threads(threads)
    return out


if __name__ == '__main__':
    for row in rows(): print(row)
