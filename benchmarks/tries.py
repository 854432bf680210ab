"""What was tried to bring Sinkhorn's iterations closer to the limit, and is not kept: `python benchmarks/run.py --only tries`.

torch.compile: ten iterations as one compiled function, against ours, forward only, 50 iterations, no early stop. Compiling needs a C++ compiler.
Warm start: the potentials of the same images in the epoch before, against a start from nothing, on tokens that the default has learned to
expand for some steps, with the views of two epochs in a row. Times are processor times; sides in turn, ratios within a round, medians."""
import time

import torch

from otcxr.augment import ImageSeeds, augment_preset, model_inputs, two_views
from otcxr.methods import create_model, model_preset
from otcxr.phantom import make_phantom
from otcxr.timing import in_turn
from otcxr.transport import ScalingForm, SolverOptions, cosine_cost, iterate, sinkhorn
from step import processor


def ten(K, Kt, mu, nu, v):
    "Ten iterations as they are written"
    for _ in range(10):
        s = torch.bmm(v, Kt)
        u = mu/s
        t = torch.bmm(u, K)
        v = nu/t
    return u, v, s, t


def compiled_row(B, N, rounds=9):
    "Fifty iterations by ours and by a compiled block of ten"
    gen = torch.Generator().manual_seed(0)
    a, b, mu, nu = (torch.randn(B, n, c, generator=gen) for n, c in ((N, 64), (N, 64), (1, N), (1, N)))
    mu, nu = mu.softmax(-1), nu.softmax(-1)
    K = (-cosine_cost(a, b)/.05).exp()
    Kt, o = K.mT.contiguous(), SolverOptions(eps=.05, max_iter=50, tol=0, grad='none', method='auto')
    torch._dynamo.reset()
    start, block = time.perf_counter(), torch.compile(ten, dynamic=False)
    block(K, Kt, mu, nu, torch.ones_like(nu))
    seconds = time.perf_counter() - start

    def theirs():
        v = torch.ones_like(nu)
        for _ in range(5): u, v, *_ = block(K, Kt, mu, nu, v)
        return u, v
    def ours(): return iterate(ScalingForm(K, 1.), mu, nu, torch.zeros_like(nu), o, False)
    with torch.no_grad():
        far = max(((x - y).abs()/y.abs()).max().item() for x, y in zip(theirs(), ours()[:2]))
        t = in_turn({k: processor(lambda f=f: [f() for _ in range(4)]) for k, f in dict(ours=ours, compiled=theirs).items()}, rounds)
    return dict(what=f'torch.compile, {B} x {N}, 50 iterations: time, share of ours', ours=f'{250*t.ours.median():.2f} ms CPU',
                against=f'compiled {250*t.compiled.median():.2f} ms, {seconds:.0f} s to compile, values {far:.0e} apart', ratio=(t.compiled/t.ours).median(), target='stated', holds=True)


def warm_rows(images=64, size=112, steps=20):
    "Iterations from the potentials of the epoch before, and from nothing"
    x = torch.from_numpy(make_phantom(images, size=128, seed=0).images)[:, None]
    torch.manual_seed(0)
    model = create_model(model_preset('default', arch='resnet10_half'), size)
    opt = torch.optim.AdamW(model.parameters(), 1e-3)
    def views(epoch): return model_inputs(*two_views(x, augment_preset('cxr', size), ImageSeeds(0, epoch, torch.arange(images))))
    for epoch in range(steps):
        loss = model.loss(model(*views(epoch)))['loss']
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad(): before, now = (model(*views(steps + k)) for k in (0, 1))
    for tol in (model.cfg.tol, 1e-6):
        options = dict(eps=model.cfg.eps, max_iter=1000, tol=tol, grad='none')
        def solve(out, **kw): return sinkhorn(out.cost, mask_s=out.mask_s, mask_t=out.mask_t, **options, **kw)
        last = solve(before)
        cold, warm, same = solve(now), solve(now, init=(last.f, last.g)), solve(before, init=(last.f, last.g))
        yield dict(what=f'warm start, views of the next epoch, tol {tol:g}: iterations', ours=f'{cold.iterations} cold',
                   against=f'{warm.iterations} warm ({same.iterations} on the same views)', ratio=warm.iterations/cold.iterations, target='stated', holds=True)


def rows(quick=False):
    for case in ((64, 49),) if quick else ((64, 49), (256, 49), (16, 196)): yield compiled_row(*case)
    yield from warm_rows(steps=2 if quick else 20)
