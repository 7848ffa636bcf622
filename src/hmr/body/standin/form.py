"""The figure of the stand-in body as an implicit surface: negative inside, positive outside.

It is an invented neutral adult of 1.71 m in T-pose (y up, x to the body's left, facing +z, metres),
made of three kinds of parts joined by smooth unions: lofts (stacks of elliptic sections along an
axis) for trunk, arms and legs; ellipsoids and tapered capsules for head, hands and feet. Only the
left side is described; the right side is its mirror image.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

Vector = tuple[float, float, float]
Ellipsoid = tuple[Vector, Vector, float]
Capsule = tuple[Vector, Vector, float, float, float]

SOLE_Y_M = -1.158
_GRADIENT_STEP_M = 5e-4


@dataclass(frozen=True)
class Loft:
    """A stack of superelliptic sections along an axis; u and v are the other two axes.

    Attributes:
        axis: 0, 1 or 2 for x, y or z.
        sections: rows of position, centre u, v and reach towards +u, -u, +v, -v, metres.
        exponent: of the superellipse; 2 is an ellipse.
        blend_m: width of the smooth union with the parts before it.
    """

    axis: int
    sections: tuple[tuple[float, ...], ...]
    exponent: float
    blend_m: float


TRUNK = Loft(
    axis=1,
    exponent=2.25,
    blend_m=0.0,
    sections=(
        # y, then centre x, z and the reach to the left, right, front, back
        (-0.405, 0.0, -0.012, 0.020, 0.020, 0.024, 0.034),
        (-0.385, 0.0, -0.012, 0.060, 0.060, 0.052, 0.070),
        (-0.350, 0.0, -0.010, 0.112, 0.112, 0.078, 0.094),
        (-0.310, 0.0, -0.010, 0.150, 0.150, 0.090, 0.106),
        (-0.260, 0.0, -0.010, 0.166, 0.166, 0.096, 0.108),
        (-0.210, 0.0, -0.005, 0.163, 0.163, 0.098, 0.102),
        (-0.150, 0.0, 0.000, 0.150, 0.150, 0.096, 0.090),
        (-0.080, 0.0, 0.002, 0.134, 0.134, 0.093, 0.083),
        (-0.020, 0.0, 0.002, 0.135, 0.135, 0.094, 0.088),
        (0.040, 0.0, 0.000, 0.146, 0.146, 0.101, 0.098),
        (0.100, 0.0, -0.005, 0.156, 0.156, 0.106, 0.104),
        (0.150, 0.0, -0.010, 0.160, 0.160, 0.100, 0.104),
        (0.190, 0.0, -0.015, 0.154, 0.154, 0.084, 0.096),
        (0.222, 0.0, -0.018, 0.132, 0.132, 0.066, 0.082),
        (0.246, 0.0, -0.018, 0.100, 0.100, 0.058, 0.068),
        (0.270, 0.0, -0.016, 0.073, 0.073, 0.056, 0.058),
        (0.300, 0.0, -0.010, 0.058, 0.058, 0.054, 0.055),
        (0.335, 0.0, 0.000, 0.054, 0.054, 0.054, 0.056),
        (0.370, 0.0, 0.004, 0.053, 0.053, 0.052, 0.057),
        (0.410, 0.0, 0.008, 0.050, 0.050, 0.050, 0.050),
    ),
)

LEG = Loft(
    axis=1,
    exponent=2.0,
    blend_m=0.035,
    sections=(
        (-1.105, 0.090, -0.032, 0.030, 0.030, 0.036, 0.034),
        (-1.075, 0.090, -0.030, 0.034, 0.033, 0.037, 0.034),
        (-1.040, 0.091, -0.028, 0.032, 0.032, 0.035, 0.034),
        (-0.990, 0.093, -0.024, 0.034, 0.034, 0.035, 0.040),
        (-0.930, 0.097, -0.018, 0.042, 0.041, 0.040, 0.052),
        (-0.860, 0.100, -0.012, 0.051, 0.050, 0.045, 0.064),
        (-0.800, 0.102, -0.007, 0.054, 0.054, 0.048, 0.066),
        (-0.745, 0.104, 0.002, 0.051, 0.052, 0.051, 0.058),
        (-0.690, 0.105, 0.010, 0.051, 0.053, 0.056, 0.056),
        (-0.640, 0.104, 0.010, 0.055, 0.057, 0.061, 0.059),
        (-0.580, 0.102, 0.008, 0.062, 0.064, 0.070, 0.066),
        (-0.500, 0.099, 0.004, 0.071, 0.074, 0.079, 0.076),
        (-0.420, 0.095, 0.000, 0.080, 0.082, 0.084, 0.088),
        (-0.360, 0.092, -0.004, 0.085, 0.080, 0.085, 0.096),
        (-0.300, 0.090, -0.006, 0.084, 0.070, 0.080, 0.096),
        (-0.230, 0.085, -0.006, 0.066, 0.050, 0.060, 0.070),
    ),
)

ARM = Loft(
    axis=0,
    exponent=2.0,
    blend_m=0.045,
    sections=(
        # x, then centre y, z and the reach up, down, front, back
        (0.110, 0.205, -0.018, 0.035, 0.050, 0.050, 0.050),
        (0.150, 0.216, -0.018, 0.046, 0.060, 0.058, 0.056),
        (0.185, 0.222, -0.018, 0.050, 0.058, 0.058, 0.057),
        (0.225, 0.222, -0.020, 0.048, 0.052, 0.052, 0.053),
        (0.270, 0.221, -0.024, 0.044, 0.047, 0.046, 0.048),
        (0.320, 0.219, -0.029, 0.041, 0.044, 0.045, 0.046),
        (0.380, 0.217, -0.035, 0.037, 0.039, 0.041, 0.043),
        (0.430, 0.215, -0.040, 0.034, 0.035, 0.037, 0.039),
        (0.470, 0.216, -0.041, 0.035, 0.036, 0.040, 0.038),
        (0.520, 0.218, -0.042, 0.036, 0.037, 0.041, 0.038),
        (0.580, 0.221, -0.043, 0.031, 0.032, 0.036, 0.035),
        (0.640, 0.223, -0.044, 0.024, 0.025, 0.030, 0.030),
        (0.690, 0.225, -0.045, 0.020, 0.021, 0.028, 0.028),
        (0.730, 0.224, -0.047, 0.016, 0.017, 0.030, 0.030),
    ),
)

# centre, radii, blend
ELLIPSOIDS = (
    # trunk: chest muscle, shoulder blade, seat, belly
    ((0.072, 0.128, 0.058), (0.078, 0.052, 0.040), 0.050),
    ((0.085, 0.140, -0.080), (0.070, 0.085, 0.036), 0.040),
    ((0.078, -0.275, -0.070), (0.080, 0.085, 0.062), 0.040),
    ((0.000, -0.140, 0.056), (0.095, 0.095, 0.040), 0.050),
    # head: skull, forehead, face, cheek, jaw, corner of the jaw, chin
    ((0.000, 0.462, 0.008), (0.076, 0.088, 0.096), 0.020),
    ((0.000, 0.472, 0.052), (0.062, 0.052, 0.060), 0.025),
    ((0.000, 0.405, 0.050), (0.061, 0.068, 0.060), 0.030),
    ((0.037, 0.407, 0.072), (0.026, 0.026, 0.026), 0.030),
    ((0.000, 0.363, 0.049), (0.044, 0.038, 0.057), 0.025),
    ((0.042, 0.372, 0.022), (0.014, 0.024, 0.026), 0.025),
    ((0.000, 0.338, 0.088), (0.021, 0.017, 0.022), 0.030),
    # foot: heel, instep, ball, toes
    ((0.090, -1.118, -0.050), (0.032, 0.044, 0.038), 0.025),
    ((0.100, -1.112, 0.030), (0.032, 0.034, 0.062), 0.030),
    ((0.112, -1.136, 0.082), (0.046, 0.024, 0.048), 0.020),
    ((0.118, -1.144, 0.118), (0.043, 0.016, 0.036), 0.015),
    # palm, heel of the thumb
    ((0.748, 0.222, -0.055), (0.052, 0.015, 0.043), 0.015),
    ((0.728, 0.216, -0.028), (0.032, 0.014, 0.020), 0.015),
)

# start, end, start radius, end radius, blend
CAPSULES = (
    # collar bone to shoulder, muscle from neck to shoulder
    ((0.030, 0.262, -0.025), (0.150, 0.232, -0.022), 0.030, 0.036, 0.040),
    # side of the neck
    ((0.038, 0.365, -0.005), (0.022, 0.245, 0.022), 0.013, 0.014, 0.025),
    # knee cap, big toe
    ((0.105, -0.672, 0.052), (0.105, -0.700, 0.052), 0.014, 0.012, 0.030),
    ((0.094, -1.140, 0.100), (0.094, -1.143, 0.146), 0.016, 0.014, 0.010),
    # fingers, index to little: close together, as in a mitten
    ((0.778, 0.222, -0.025), (0.852, 0.212, -0.026), 0.0110, 0.0088, 0.014),
    ((0.780, 0.224, -0.042), (0.864, 0.213, -0.041), 0.0115, 0.0090, 0.014),
    ((0.778, 0.223, -0.059), (0.854, 0.212, -0.056), 0.0110, 0.0088, 0.014),
    ((0.772, 0.220, -0.076), (0.834, 0.209, -0.071), 0.0105, 0.0085, 0.014),
    # thumb
    ((0.722, 0.214, -0.022), (0.762, 0.206, 0.014), 0.0150, 0.0120, 0.012),
    ((0.762, 0.206, 0.014), (0.792, 0.203, 0.026), 0.0120, 0.0095, 0.008),
    # brow
    ((0.000, 0.456, 0.107), (0.042, 0.455, 0.092), 0.0080, 0.0080, 0.015),
)

EYE_SOCKETS = (((0.032, 0.436, 0.120), (0.018, 0.013, 0.018), 0.014),)

# Drawn last, on top of the eye sockets: eyeball, wing of the nose, upper and lower lip, ear
FACE_ELLIPSOIDS = (
    ((0.032, 0.437, 0.0935), (0.0135, 0.0115, 0.0125), 0.004),
    ((0.0105, 0.404, 0.116), (0.010, 0.009, 0.012), 0.008),
    ((0.000, 0.3780, 0.1055), (0.023, 0.0055, 0.0095), 0.006),
    ((0.000, 0.3655, 0.1040), (0.019, 0.0060, 0.0095), 0.006),
    ((0.076, 0.424, 0.006), (0.010, 0.032, 0.019), 0.010),
)
FACE_CAPSULES = (((0.000, 0.446, 0.106), (0.000, 0.409, 0.128), 0.0080, 0.0110, 0.010),)


def smooth_min(a: np.ndarray, b: np.ndarray, blend_m: float) -> np.ndarray:
    """Smooth union of two fields; differs from the minimum only where |a - b| < blend_m."""
    if blend_m <= 0:
        return np.minimum(a, b)
    h = np.maximum(blend_m - np.abs(a - b), 0.0)
    return np.minimum(a, b) - h * h / (4.0 * blend_m)


def ellipsoid_field(points_m: np.ndarray, centre: Vector, radii: Vector) -> np.ndarray:
    """Near-distance to an ellipsoid, exact on its surface; points (N, 3) -> (N,)."""
    offset = (points_m - np.asarray(centre)) / np.asarray(radii)
    k0 = np.linalg.norm(offset, axis=1)
    k1 = np.linalg.norm(offset / np.asarray(radii), axis=1)
    return k0 * (k0 - 1.0) / np.maximum(k1, 1e-6)


def capsule_field(
    points_m: np.ndarray, start: Vector, end: Vector, radius_start: float, radius_end: float
) -> np.ndarray:
    """Distance to a tapered capsule; points (N, 3) -> (N,)."""
    axis = np.subtract(end, start)
    t = np.clip((points_m - start) @ axis / (axis @ axis), 0.0, 1.0)
    distance = np.linalg.norm(points_m - start - t[:, None] * axis, axis=1)
    return distance - (radius_start + t * (radius_end - radius_start))


def loft_field(points_m: np.ndarray, loft: Loft) -> np.ndarray:
    """Near-distance to a stack of sections, exact on its sides; points (N, 3) -> (N,)."""
    table = np.asarray(loft.sections)
    position = points_m[:, loft.axis]
    inside = np.clip(position, table[0, 0], table[-1, 0])
    centre_u, centre_v, *reach = PchipInterpolator(table[:, 0], table[:, 1:])(inside).T
    axis_u, axis_v = [axis for axis in range(3) if axis != loft.axis]
    u, v = points_m[:, axis_u] - centre_u, points_m[:, axis_v] - centre_v
    radius_u, radius_v = np.where(u > 0, reach[0], reach[1]), np.where(v > 0, reach[2], reach[3])
    n = loft.exponent
    rho = ((np.abs(u) / radius_u) ** n + (np.abs(v) / radius_v) ** n) ** (1.0 / n)
    side = (rho - 1.0) * np.minimum(radius_u, radius_v)
    return np.hypot(np.maximum(side, 0.0), position - inside) + np.minimum(side, 0.0)


def _add(
    field: np.ndarray,
    points_m: np.ndarray,
    ellipsoids: tuple[Ellipsoid, ...],
    capsules: tuple[Capsule, ...],
) -> np.ndarray:
    """Smooth union of a field with further parts."""
    for centre, radii, blend in ellipsoids:
        field = smooth_min(field, ellipsoid_field(points_m, centre, radii), blend)
    for start, end, radius_start, radius_end, blend in capsules:
        part = capsule_field(points_m, start, end, radius_start, radius_end)
        field = smooth_min(field, part, blend)
    return field


def on_left(points_m: np.ndarray) -> np.ndarray:
    """Points (N, 3), those of the right half moved to their mirror images in the left half."""
    return np.abs(points_m * [1, 0, 0]) + points_m * [0, 1, 1]


def body_field(points_m: np.ndarray) -> np.ndarray:
    """Signed field of the whole figure, about the distance in metres; points (N, 3) -> (N,)."""
    points_m = on_left(points_m)
    field = loft_field(points_m, TRUNK)
    for loft in (LEG, ARM):
        field = smooth_min(field, loft_field(points_m, loft), loft.blend_m)
    field = _add(field, points_m, ELLIPSOIDS, CAPSULES)
    for centre, radii, blend in EYE_SOCKETS:
        field = -smooth_min(-field, ellipsoid_field(points_m, centre, radii), blend)
    field = _add(field, points_m, FACE_ELLIPSOIDS, FACE_CAPSULES)
    return -smooth_min(-field, points_m[:, 1] - SOLE_Y_M, 0.012)


def field_gradient(points_m: np.ndarray) -> np.ndarray:
    """Gradient of `body_field`, by differences at the corners of a small tetrahedron, (N, 3)."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    around_m = points_m[:, None] + _GRADIENT_STEP_M * corners
    values = body_field(around_m.reshape(-1, 3)).reshape(-1, 4)
    return values @ corners / (4.0 * _GRADIENT_STEP_M)
