"""Speed and memory of `otcxr.transport.sinkhorn` against POT's batched solvers, forward and backward.

    python benchmarks/transport.py [--quick] [--repeats 15]

Both sides solve the same problems for the same number of iterations (no early stop) in one process, turn by turn (three runs of a side in a turn), with 2 threads
in float32; M, mu and nu all require gradients. Times are medians over all runs; `less_cpu` is the ratio of the processor time of all threads, which says what holds when the machine is busy
with other things and the clock does not. The last column is the largest difference of the two values <T, M> over the batch: both did the same work.
Costs are cosine costs between the feature maps of a ResNet-18 (stages 2, 3 and 4) of two shifted views of textures.
Peak memory is what PyTorch's allocator hands out during one forward and backward pass beyond the inputs, from the memory events of the profiler: tensors that are
saved, temporaries and gradients, on both sides alike.
"""
import argparse
import os
import statistics
import sys
import time

os.environ.setdefault('KINETO_LOG_LEVEL', '5')

import torch
import torch.nn.functional as F
import torchvision
from torch.profiler import ProfilerActivity, profile

from otcxr.transport import cosine_cost, sinkhorn

EPS = .05
BLOCK = 3 # runs of one side in a turn: the second and third find the memory as a training loop leaves it, not as the other side does
# B, tokens, iterations, POT's method, least speed-up (unroll, implicit), least memory ratio (unroll, implicit)
CASES = [
    (64, 49, 50, 'log_sinkhorn', (4, 7), (6, 9)),
    (64, 49, 50, 'sinkhorn', (2, 3), None),
    (256, 49, 50, 'log_sinkhorn', (9, 18), None),
    (64, 196, 20, 'log_sinkhorn', (6, 9), None),
    (16, 784, 10, 'log_sinkhorn', (7, 7), None),
]


def features(images=16, seed=0):
    "Feature maps of two views of textures: {tokens: (a, b)}, each (images, tokens, C)"
    torch.manual_seed(seed)
    x = sum(2.**-k*F.interpolate(torch.randn(images, 1, 288//s, 288//s), size=288, mode='bilinear') for k, s in enumerate((32, 16, 8, 4)))
    views = torch.cat([x[..., :224, :224], x[..., 40:264, 24:248]]).expand(-1, 3, -1, -1)
    net = torchvision.models.resnet18(weights=None).eval()
    maps = {}
    with torch.no_grad():
        z = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(views)))))
        for n, stage in ((784, net.layer2), (196, net.layer3), (49, net.layer4)):
            z = stage(z)
            t = z.flatten(2).mT
            t = (t - t.mean((0, 1)))/t.std((0, 1)).clamp_min(1e-6) # or the constant that all tokens share hides the rest
            maps[n] = t.chunk(2)
    return maps


def problem(maps, B, N):
    "Cost between view s of image i and view t of image i + k, marginals that favour tokens like the map's mean"
    a, b = maps[N]
    n = len(a)
    a = a.repeat(B//n, 1, 1)
    b = torch.cat([b.roll(k, 0) for k in range(B//n)])
    mass = lambda z: (.5*(z*z.mean(1, keepdim=True)).sum(-1)/z.shape[-1]**.5).softmax(-1)
    return cosine_cost(a, b), mass(a), mass(b)


def contenders(method, n):
    from ot.batch import solve_batch
    ours = lambda grad: lambda M, mu, nu: sinkhorn(M, mu, nu, eps=EPS, max_iter=n, tol=0, grad=grad).value
    pot = lambda M, mu, nu: solve_batch(M, EPS, mu, nu, max_iter=n, tol=0, method=method, grad='autodiff').value_linear
    return dict(unroll=ours('unroll'), implicit=ours('implicit'), pot=pot)


def step(solve, inputs):
    "Seconds of one forward and backward pass, by the clock and of all threads together, and the values"
    leaves = [x.clone().requires_grad_() for x in inputs]
    start, work = time.perf_counter(), time.process_time()
    value = solve(*leaves)
    value.sum().backward()
    return time.perf_counter() - start, time.process_time() - work, value.detach()


def peak_bytes(solve, inputs):
    "Most bytes that were allocated at one time during one forward and backward pass"
    leaves = [x.clone().requires_grad_() for x in inputs]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof: solve(*leaves).sum().backward()
    now = top = 0
    for _, n in sorted((e.start_ns(), e.nbytes()) for e in prof.profiler.kineto_results.events() if e.name() == '[memory]'):
        now += n
        top = max(top, now)
    return top


def rows(quick=False, repeats=None):
    "The benchmark as a list of dicts, one row a line of the table; `quick` takes 2 turns instead of 7 and leaves the two large cases out"
    repeats = repeats or (2 if quick else 7)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        maps, table = features(), []
        for B, N, n, method, speed, memory in CASES[:2] if quick else CASES:
            inputs, sides = problem(maps, B, N), contenders(method, n)
            values = {k: step(f, inputs)[-1] for k, f in sides.items()}
            times = {k: [] for k in sides}
            for _ in range(repeats):
                for k, f in sides.items(): times[k] += [step(f, inputs)[:2] for _ in range(BLOCK)]
            ms, cpu = ({k: 1e3*statistics.median(t[i] for t in ts) for k, ts in times.items()} for i in (0, 1))
            mb = {k: peak_bytes(f, inputs)/1e6 for k, f in sides.items()} if memory else {}
            for i, grad in enumerate(('unroll', 'implicit')):
                row = dict(case=f'{B} x {N}, {n} it.', against=f'POT {method}', grad=grad, ms=ms[grad], their_ms=ms['pot'], times_faster=ms['pot']/ms[grad], target=speed[i])
                row.update(holds=row['times_faster'] >= row['target'], less_cpu=cpu['pot']/cpu[grad])
                if memory:
                    row.update(MB=mb[grad], their_MB=mb['pot'], times_less=mb['pot']/mb[grad], memory_target=memory[i])
                    row['memory_holds'] = row['times_less'] >= row['memory_target']
                row['max_value_difference'] = float((values[grad] - values['pot']).abs().max())
                table.append(row)
        return table
    finally: torch.set_num_threads(threads)


def show(table):
    "The rows as aligned text"
    names = list(dict.fromkeys(k for r in table for k in r))
    text = lambda v: '' if v is None else ('yes' if v else 'NO') if isinstance(v, bool) else f'{v:.3g}' if isinstance(v, float) else str(v)
    cells = [names] + [[text(r.get(k)) for k in names] for r in table]
    width = [max(len(c[i]) for c in cells) for i in range(len(names))]
    return '\n'.join('  '.join(c.rjust(w) for c, w in zip(line, width)) for line in cells)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Sinkhorn layer against POT: medians, ratios, peak memory')
    parser.add_argument('--quick', action='store_true', help='2 turns, small cases only')
    parser.add_argument('--repeats', type=int, help='turns of every case (7)')
    args = parser.parse_args()
    table = rows(args.quick, args.repeats)
    print(show(table))
    sys.exit(0 if all(r['holds'] and r.get('memory_holds', True) for r in table) else 1)
