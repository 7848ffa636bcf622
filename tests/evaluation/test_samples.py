import numpy as np

from hmr.evaluation.samples import crop_rays


def test_rays_through_the_crops_centre():
    camera = np.array([[500.0, 100, 120], [500, 100, 120], [np.nan] * 3])
    rays = crop_rays(camera, np.array([[100.0, 120], [600, 120], [5, 5]]))
    np.testing.assert_allclose(rays[:2], [[0, 0, 1], [np.sqrt(0.5), 0, np.sqrt(0.5)]])
    assert np.isnan(rays[2]).all()
