#!/usr/bin/env python3
"""Prints the messages that data-migrator makes of a file, one a line: the other side of kinesis-pipeline-load's oracle.

    pip install data-migrator==0.6.2 boto3
    tutorial_messages.py FILE.tsv MODEL        # MODEL is trial or drops

The columns: id, old_uuid, value, name, note, flag.
"""

import sys
import tempfile
from unittest import mock


def main(path, model):
    # Both are read by the transformer itself.
    sys.argv = ["tutorial_messages.py", "-i", path, "-q", "-t"]
    from data_migrator import models
    from data_migrator.contrib import kinesis

    class TrialModel(models.Model):
        _meta_ = models.DictField(name="_meta", parse=lambda row: {"eventType": "model.create"})
        uuid = models.UUIDField(pos=1)
        value = models.IntField(pos=2)
        maybe = models.NullIntField(pos=2)
        name = models.StringField(pos=3)
        note = models.NullStringField(pos=4, max_length=5)
        flag = models.BooleanField(pos=5)
        cells = models.IntField(parse=len)

    class Drops(models.Model):
        id = models.IntField(pos=0, unique=True)
        note = models.NullStringField(pos=4)
        name = models.StringField(pos=3, validate=lambda text: "x" not in text)
        place = models.StringField(pos=3, default="home", replacement="<{}>")

        class Meta:
            drop_if_none = ["note"]
            drop_non_unique = True

    chosen = {"trial": TrialModel, "drops": Drops}[model]
    with tempfile.TemporaryDirectory() as outdir:
        transformer = kinesis.KinesisTransformer(
            models=[chosen], outdir=outdir, stream_name="s", profile_name="p"
        )
        with mock.patch.object(kinesis, "boto3"):
            transformer.process()
        with open(f"{outdir}/{chosen._meta.table_name}.json", encoding="utf-8") as out:
            sys.stdout.write(out.read())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
