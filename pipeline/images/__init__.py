"""The only door between image files and arrays: files to 8-bit RGB, 8-bit RGB to model tensors, and back.

On the file side an image is `uint8 (H, W, 3)` sRGB: files that name other colours are converted. On the model side it is
`float32 (N, 3, H, W)` in [0, 1].
"""

from pipeline.images.colour_profiles import CONVERTED
from pipeline.images.encoding import jpeg_bytes, pixels_sha256, png_bytes, quick_png_bytes, read_png
from pipeline.images.formats import NoReader, image_format, missing_reader, picture_files, shown
from pipeline.images.reading import read_apart, read_image
from pipeline.images.resizing import resize_shorter_and_crop
from pipeline.images.tensors import to_model, to_pixels
from pipeline.images.to_rgb import LoadedImage, from_pillow
