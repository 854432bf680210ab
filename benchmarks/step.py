"What a training step of OTCXR costs beside one of VICReg, and how fast the phantom is made."
import statistics
import time

import torch

from otcxr.augment import augment_preset, model_inputs, two_views
from otcxr.methods import create_model, model_preset
from otcxr.phantom import make_phantom


def _step(model, opt, views):
    out = model(*views)
    loss = model.loss(out)['loss']
    opt.zero_grad()
    loss.backward()
    opt.step()


def step_row(arch, batch, size, target=None, repeats=8):
    "Forward, backward and AdamW step in float32 on the same views, the two methods in turn."
    x = torch.from_numpy(make_phantom(batch, size=max(128, size), seed=0).images)[:, None]
    views = model_inputs(*two_views(x, augment_preset('cxr', size), torch.Generator().manual_seed(0)))
    names, times = ('default', 'vicreg'), {'default': [], 'vicreg': []}
    models = {n: create_model(model_preset(n, arch=arch), size).to(memory_format=torch.channels_last) for n in names}
    opts = {n: torch.optim.AdamW(models[n].parameters(), 1e-3) for n in names}
    for i in range(repeats):
        for n in names:
            start = time.perf_counter()
            _step(models[n], opts[n], views)
            if i: times[n].append(time.perf_counter() - start)
    ours, theirs = (statistics.median(times[n]) for n in names)
    ratio = statistics.median(a / b for a, b in zip(*times.values()))
    row = dict(what=f'training step, {arch}, batch {batch}, {size} px', ours=f'{ours:.3f} s', against=f'VICReg {theirs:.3f} s', ratio=ratio)
    return row | (dict(target='stated', holds=True) if target is None else dict(target=f'<= {target}', holds=ratio <= target))


def step_rows(quick=False):
    "The share of the patches is dear where the backbone is light."
    light = step_row('resnet10_half', 64, 112, repeats=3 if quick else 8)
    return [light] if quick else [light, step_row('resnet18', 16, 224, target=1.3, repeats=5)]


def phantom_rows(quick=False, size=128):
    "Images a second with as many processes as there are cores, the start of the processes included."
    n, rates = (60 if quick else 600), []
    for seed in range(1 if quick else 3):
        start = time.perf_counter()
        make_phantom(n, size=size, seed=seed)
        rates.append(n / (time.perf_counter() - start))
    rate = statistics.median(rates)
    return [dict(what=f'phantom, {size} px', ours=f'{rate:.0f} images/s', against='', ratio=rate / 60, target='>= 60 images/s', holds=rate >= 60)]


def rows(quick=False): return step_rows(quick) + phantom_rows(quick)
