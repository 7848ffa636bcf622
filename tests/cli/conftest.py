from tests.helpers.small_predictor import bare_body, image, model_folder, predictor

__all__ = ["bare_body", "image", "model_folder", "predictor"]
