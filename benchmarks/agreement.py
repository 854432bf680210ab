"""Numerical agreement of the transport layer, the regularisers and CV-SIM with references, one row a claim: `python benchmarks/run.py --only agreement`.

The notebooks assert the same and more; here the differences themselves are printed."""
import math

import torch

from otcxr.core import seed_everything
from otcxr.cvsim import CVSIM
from otcxr.regularize import covariance_term, variance_term
from otcxr.transport import cosine_cost, exact_plan, sinkhorn

EPS = .05


def problem(B=8, N=49, C=64, dtype=torch.float64, seed=0):
    "Cosine cost of random tokens and random marginals, the same numbers in either precision"
    gen = torch.Generator().manual_seed(seed)
    draw = lambda *s: torch.randn(*s, generator=gen, dtype=torch.float64)
    a, b, mu, nu = draw(B, N, C), draw(B, N, C), draw(B, N).softmax(-1), draw(B, N).softmax(-1)
    return tuple(x.to(dtype) for x in (cosine_cost(a, b), mu, nu))


def plain_loop(M, mu, nu, iterations):
    "Sinkhorn's iterations as they are written in a textbook, by autograd: <T, M>"
    K = (-M/EPS).exp()
    v = torch.ones_like(nu)
    for _ in range(iterations):
        u = mu/torch.einsum('bij,bj->bi', K, v)
        v = nu/torch.einsum('bij,bi->bj', K, u)
    return (u[:, :, None]*K*v[:, None]*M).sum((1, 2))


def gradients(f, P):
    "Value and gradients by M, mu and nu of the sum of `f`, in float64; those by the marginals without the constant that mass conservation leaves free"
    leaves = [x.clone().requires_grad_() for x in P]
    value = f(*leaves)
    dM, *dm = torch.autograd.grad(value.sum(), leaves)
    return [x.double() for x in (value.detach(), dM, *(d - d.mean(1, keepdim=True) for d in dm))]


def far(a, b): return ((a - b).abs().max()/b.abs().max()).item()


def ours(**kw): return lambda *P: sinkhorn(*P, eps=EPS, **kw).value


def precision():
    P32 = problem(dtype=torch.float32)
    for grad in ('unroll', 'implicit'):
        runs = [gradients(ours(max_iter=50, tol=0, grad=grad), [x.to(d) for x in P32]) for d in (torch.float32, torch.float64)]
        yield f'float32 against float64, {grad}: value', ((runs[0][0] - runs[1][0])/runs[1][0]).abs().max().item(), 1e-6
        yield f'float32 against float64, {grad}: dM', far(runs[0][1], runs[1][1]), 1e-5


def loops():
    P = problem(4, 16)
    mine, plain = gradients(ours(max_iter=20, tol=0), P), gradients(lambda *P: plain_loop(*P, 20), P)
    yield 'unroll against autograd through a plain loop, float64', max(map(far, mine, plain)), 1e-12


def differences():
    P, (i, j), h = problem(1, 7, 16), (3, 4), 1e-5
    solve = ours(max_iter=5000, tol=1e-14, grad='implicit')
    _, dM, dmu, dnu = gradients(solve, P)
    worst = 0.
    for k, exact in enumerate((dM, dmu, dnu)):
        for n in range(0, exact.numel(), 5):
            def moved(s):
                Q = [x.clone() for x in P]
                Q[k].view(-1)[n] += s*h
                if k: Q[k] -= s*h/Q[k].numel() # along the simplex
                return solve(*Q).item()
            worst = max(worst, abs((moved(1) - moved(-1))/(2*h) - exact.view(-1)[n].item())/exact.abs().max().item())
    yield 'implicit against finite differences, float64', worst, 1e-6


def limits():
    M, mu, nu = problem(4, 16)
    exact = (exact_plan(M, mu, nu)*M).sum((1, 2))
    gaps = [((sinkhorn(M, mu, nu, eps=e, max_iter=20000, tol=1e-9).value - exact)/exact).abs().max().item() for e in (.1, .01, .001)]
    assert gaps == sorted(gaps, reverse=True), gaps
    yield 'value above ot.emd at eps 0.001 (falls from 0.1 and 0.01)', gaps[-1], 1e-3
    r = sinkhorn(M, mu, nu, eps=EPS, max_iter=50, tol=0)
    held = (r.plan.sum(2) - mu).abs().sum(1)
    yield 'marginals: reported error against the plan', (held - r.error).abs().max().item(), 1e-12


def hard_cases():
    "Number of non-finite entries of value, plan and gradients over every hard case"
    M, mu, nu = problem(4, 16, dtype=torch.float32)
    none = mu.clone(); none[:, :4] = 0; none /= none.sum(1, keepdim=True)
    hot = torch.zeros_like(nu); hot[:, 2] = 1
    z = torch.randn(4, 16, 8)
    cases = [(M*s, mu, nu, dict(eps=e)) for e in (1., .1, .01, .001) for s in (1, 50)]
    cases += [(M, none, nu, {}), (M, none, hot, {}), (M, hot, hot, {}), (cosine_cost(z, z), mu, mu, {}), (torch.zeros_like(M), mu, nu, {})]
    keep = torch.arange(16)[None] < torch.tensor([16, 9, 4, 1])[:, None]
    cases += [(M, None, None, dict(mask_s=keep, mask_t=keep.flip(0)))]
    bad = 0
    for cast in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=cast):
            for C, p, q, kw in cases:
                for grad in ('unroll', 'implicit'):
                    leaves = [x.clone().requires_grad_() if x is not None else None for x in (C, p, q)]
                    r = sinkhorn(*leaves, grad=grad, **kw)
                    r.value.sum().backward()
                    bad += sum(int((~x.isfinite()).sum()) for x in (r.value, r.plan, *(l.grad for l in leaves if l is not None)))
    yield f'non-finite numbers in {4*len(cases)} hard cases', bad, 0
    sick = M.clone(); sick[1, 0, 0] = math.nan
    r, well = sinkhorn(sick, mu, nu, tol=0), sinkhorn(M, mu, nu, tol=0)
    yield 'a NaN sample: change of the others', (r.plan - well.plan)[[0, 2, 3]].abs().max().item(), 1e-7
    yield 'a NaN sample: finite numbers in its own plan', int(r.plan[1].isfinite().sum()), 0


def terms():
    from lightly.loss.vicreg_loss import covariance_loss, variance_loss
    q = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    yield "variance term against lightly's", abs(variance_term(q) - variance_loss(q)).item(), 1e-6
    yield "covariance term against lightly's", (abs(covariance_term(q) - covariance_loss(q))/covariance_loss(q)).item(), 1e-5


def marginals():
    seed_everything(0)
    z_s, z_t = torch.randn(4, 16, 32), torch.randn(4, 25, 32)
    cv = CVSIM(32, heads=4).eval()
    o, swapped = cv(z_s, z_t), cv(z_t, z_s)
    yield 'CV-SIM: attention rows sum to 1', (cv.infuse(z_s, z_t)[1].sum(-1) - 1).abs().max().item(), 1e-5
    yield 'CV-SIM: swapped views swap the outputs', max((o.mu - swapped.nu).abs().max(), (o.nu - swapped.mu).abs().max()).item(), 1e-6
    M, u = cosine_cost(z_s, z_t), CVSIM(32, readout='uniform')(z_s, z_t)
    yield 'CV-SIM: uniform marginals against leaving it out', (sinkhorn(M, u.mu, u.nu).plan - sinkhorn(M).plan).abs().max().item(), 1e-6
    sinkhorn(M, o.mu, o.nu).plan.square().sum().backward()
    yield 'CV-SIM: parameters that the plan gives no gradient', sum(int(p.grad is None or not p.grad.abs().sum() > 0) for p in cv.attention.parameters()), 0


def correspondence():
    "Copies of one texture, shifted by three patches: does the plan find the known correspondence?"
    gen = torch.Generator().manual_seed(0)
    x = sum(2.**-k*torch.nn.functional.interpolate(torch.randn(1, 1, 160//s, 160//s, generator=gen), size=160, mode='bilinear') for k, s in enumerate((32, 16, 8, 4)))[0, 0]
    tokens = lambda v: (t := v.unfold(0, 16, 16).unfold(1, 16, 16).flatten(2).flatten(0, 1)[None]) - t.mean(-1, keepdim=True)
    column = torch.arange(49)[None] % 7
    T = sinkhorn(cosine_cost(tokens(x[:112, :112]), tokens(x[:112, 48:160])), eps=EPS, max_iter=500, mask_s=column >= 3, mask_t=column < 4).plan[0] # what both copies show
    shared = [(7*r + c + 3, 7*r + c) for r in range(7) for c in range(4)]
    yield 'shifted copies: shared patches whose strongest match is another one, of 28', sum(int(T[i].argmax() != j) for i, j in shared), 0


def rows(quick=False):
    "All of it, in the form of the other groups"
    for part in (precision, loops, differences, limits, hard_cases, terms, marginals, correspondence):
        for what, value, limit in part():
            yield dict(what=what, ours=f'{value:.1e}' if limit else str(value), against='', ratio=value, target=f'<= {limit:g}', holds=value <= limit)
