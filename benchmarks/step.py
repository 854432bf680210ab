"""What a training step of OTCXR costs beside one of VICReg, and VICReg beside a bare PyTorch loop; how fast the phantom is made.

The bare loop is what one would write without a library: torchvision's ResNet-18 in channels-last memory, an MLP, VICReg's loss by its
formula, fused AdamW, on the same views of the same images. Steps are those of `otcxr.timing.TrainingClock`: reading, views, forward,
backward, optimiser and the checks of a training; all sides in turn in this process, in float32, ratios within a round, medians. Times of steps are
processor times of all threads together, which hold when the machine is busy with other things and the clock does not."""
import statistics
import time

import numpy as np
import torch
from torch import nn
from torchvision.models import resnet18

from otcxr.augment import ImageSeeds, augment_preset, model_inputs, two_views
from otcxr.collection import Radiographs
from otcxr.methods import create_model, model_preset
from otcxr.phantom import make_phantom
from otcxr.pretrain import PretrainConfig
from otcxr.timing import TrainingClock, in_turn


def vicreg_loss(s, t):
    "Bardes, Ponce and LeCun (ICLR 2022), equations 1 to 6, with their weights"
    def own(q):
        q = q - q.mean(0)
        cov = q.T @ q/(len(q) - 1)
        return 25*torch.relu(1 - (q.var(0) + 1e-4).sqrt()).mean() + (cov.square().sum() - cov.diagonal().square().sum())/q.shape[1]
    return 25*(s - t).square().mean() + own(s) + own(t)


def bare_loop(cfg, data):
    "A function that takes one step of VICReg without this library but for its views"
    net = resnet18(weights=None)
    net.conv1, net.fc = nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.Identity()
    layers = []
    for a, b in zip((512, *cfg.model.widths[:-2]), cfg.model.widths): layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
    model = nn.Sequential(net, *layers, nn.Linear(*cfg.model.widths[-2:])).to(memory_format=torch.channels_last).train()
    opt = torch.optim.AdamW(model.parameters(), cfg.top_lr, weight_decay=cfg.decay, fused=True)
    order, views = np.random.default_rng(0), augment_preset(cfg.augment, cfg.size)

    def step():
        chosen = order.choice(len(data), cfg.batch_size, replace=False)
        images = torch.from_numpy(data.images[chosen])[:, None]
        both = [v.images for v in two_views(images, views, ImageSeeds(0, 0, torch.from_numpy(chosen)))]
        loss = vicreg_loss(*model(torch.cat(both)).chunk(2))
        opt.zero_grad()
        loss.backward()
        opt.step()
    return step


def long_epoch(batch, size, batches=16):
    "Few images, many times: the content of an image does not change how long a step takes"
    few = make_phantom(batch, size=size, seed=0)
    again = np.arange(batch*batches) % batch
    table = few.table.iloc[again].assign(image_id=[f'{i}' for i in range(len(again))], split='train')
    return Radiographs(few.images[again], table, few.findings, 'phantom')


def processor(work):
    "A clock for `in_turn`: seconds of all threads together"
    def seconds():
        start = time.process_time()
        work()
        return time.process_time() - start
    return seconds


def training_rows(batch=64, size=224, rounds=3):
    "The default, VICReg and the bare loop at the size of the paper"
    data = long_epoch(batch, size)
    cfgs = {m: PretrainConfig.from_dict(dict(size=size, batch_size=batch, precision='fp32', model=dict(method=m, arch='resnet18'))) for m in ('otcxr', 'vicreg')}
    clocks = {m: TrainingClock(cfg, data, steps=1, device='cpu') for m, cfg in cfgs.items()}
    sides = clocks | dict(bare=bare_loop(cfgs['vicreg'], data))
    t = in_turn({k: processor(f) for k, f in sides.items()}, rounds)
    for a, b, of, target in (('otcxr', 'vicreg', 'VICReg', 1.3), ('vicreg', 'bare', 'bare loop', 1.05)):
        ratio = (t[a]/t[b]).median()
        yield dict(what=f"training step, {dict(otcxr='default', vicreg='VICReg')[a]}, resnet18, batch {batch}, {size} px", ours=f'{t[a].median():.2f} s CPU',
                   against=f'{of} {t[b].median():.2f} s', ratio=ratio, target=f'<= {target}', holds=bool(ratio <= target))


def _step(model, opt, views, bf16):
    with torch.autocast('cpu', torch.bfloat16, enabled=bf16): out = model(*views)
    for k, v in vars(out).items():
        if torch.is_tensor(v) and v.is_floating_point(): setattr(out, k, v.float())
    loss = model.loss(out)['loss']
    opt.zero_grad()
    loss.backward()
    opt.step()


def step_row(arch, batch, size, target=None, repeats=8, bf16=False):
    "Forward, backward and AdamW step on the same views, the two methods in turn."
    x = torch.from_numpy(make_phantom(batch, size=max(128, size), seed=0).images)[:, None]
    views = model_inputs(*two_views(x, augment_preset('cxr', size), torch.Generator().manual_seed(0)))
    names, times = ('default', 'vicreg'), {'default': [], 'vicreg': []}
    models = {n: create_model(model_preset(n, arch=arch), size).to(memory_format=torch.channels_last) for n in names}
    opts = {n: torch.optim.AdamW(models[n].parameters(), 1e-3) for n in names}
    for i in range(repeats):
        for n in names:
            seconds = processor(lambda: _step(models[n], opts[n], views, bf16))()
            if i: times[n].append(seconds)
    ours, theirs = (statistics.median(times[n]) for n in names)
    ratio = statistics.median(a / b for a, b in zip(*times.values()))
    row = dict(what=f"training step, {arch}, batch {batch}, {size} px{', bf16' if bf16 else ''}", ours=f'{ours:.3f} s CPU', against=f'VICReg {theirs:.3f} s', ratio=ratio)
    return row | (dict(target='stated', holds=True) if target is None else dict(target=f'<= {target}', holds=ratio <= target))


def step_rows(quick=False):
    "The share of the patches is dear where the backbone is light."
    light = step_row('resnet10_half', 64, 112, repeats=3 if quick else 8)
    if quick: return [light, *training_rows(4, 64, 1)]
    return [light, step_row('resnet10_half', 64, 112, bf16=True), step_row('resnet18', 16, 224, target=1.3, repeats=5), *training_rows()]


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
