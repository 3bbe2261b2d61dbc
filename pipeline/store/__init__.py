"""A run on disk: its folders and files, hashes of them, results kept between commands, and what is done or stale (and why)."""

from pipeline.store.artefacts import Artefact, Csv, Folder, Json, Table
from pipeline.store.files import Disk, Files, free_space_mb, is_made_by_a_run, remove_partial, replace_folder, write_bytes
from pipeline.store.hashes import Hashes, bytes_hash, content_hash, file_hash
from pipeline.store.items import Items
from pipeline.store.photos import SIMULATED_PHOTOS, photo_digest, photo_files, photo_name, photo_trouble
from pipeline.store.pictures import packed_files, save_images, saved_image
from pipeline.store.run import Run, cell_folder, locked
from pipeline.store.stage_records import StageRecord, forget_stage, read_stage_record, why_stale, write_stage_record
from pipeline.store.tables import csv_bytes, json_bytes, json_from, record_from, table_bytes, table_rows
