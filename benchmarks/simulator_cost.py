"""What a simulated 12-megapixel photo of a full page costs on one core, beside what reading its JPEG costs."""

import time

import cv2
import numpy as np

from pipeline.physical.simulator import encode_jpeg, load_profile, profile_names, simulate_photo

A4 = (210.0, 297.0)
N_PHOTOS = 5


def main() -> None:
    """Prints the median processor time of a photo for every profile; the page is a raster at the printer's resolution."""
    cv2.setNumThreads(1)
    print(f"{'profile':20} {'photo':>8} {'JPEG file':>10} {'over reading it':>16}")
    for name in profile_names():
        profile = load_profile(name)
        page = page_of(profile.printer_dpi)
        seconds, encoding, reading = [], [], []
        for seed in range(N_PHOTOS):
            start = time.process_time()
            photo = simulate_photo(page, *A4, profile, np.random.default_rng(seed))
            made = time.process_time()
            file = np.frombuffer(encode_jpeg(photo), np.uint8)
            encoded = time.process_time()
            cv2.imdecode(file, cv2.IMREAD_COLOR)
            seconds.append(made - start)
            encoding.append(encoded - made)
            reading.append(time.process_time() - encoded)
        photo_s, file_s, read_s = (float(np.median(values)) for values in (seconds, encoding, reading))
        print(f"{name:20} {photo_s:6.2f} s {file_s:8.2f} s {(photo_s + file_s) / read_s:14.1f} x")


def page_of(dpi: int) -> np.ndarray:
    """Returns a page whose middle is an image of random pixels, uint8 (H, W, 3)."""
    width, height = (round(side * dpi / 25.4) for side in A4)
    page = np.full((height, width, 3), 255, np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, (720, 480, 3), dtype=np.uint8)
    left, top, right, bottom = width // 10, height // 12, width * 9 // 10, height * 11 // 12
    page[top:bottom, left:right] = cv2.resize(pixels, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST_EXACT)
    return page


if __name__ == "__main__":
    main()
