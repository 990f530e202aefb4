use kinesis_pipeline::{Position, SequenceNumber, ShardId};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::window::SealedObject;

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;
/// The folder of manifests. Spark, Hive and Athena skip names that begin with `_`.
pub(super) const FOLDER: &str = "_manifests";

/// The manifest of an object, a JSON text under `_manifests/<key of the object>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// The object's key.
    pub(super) object: String,
    /// The object's size.
    pub(super) bytes: u64,
    pub(super) segments: Vec<Segment>,
}

/// A part of an object: the records of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    /// The key that the segment would have had as an object of its own. Two segments of one id hold the same records.
    pub(super) id: String,
    pub(super) shard_id: String,
    pub(super) first: Place,
    pub(super) last: Place,
    pub(super) records: u64,
    /// The offset of its first byte in the object.
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// The position of a record in its shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    sequence_number: SequenceText,
    sub_sequence_number: u64,
}

/// A sequence number as a text: it has more digits than a number of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct SequenceText(SequenceNumber);

impl TryFrom<String> for SequenceText {
    type Error = kinesis_pipeline::InvalidSequenceNumber;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<SequenceText> for String {
    fn from(text: SequenceText) -> Self {
        text.0.as_str().to_owned()
    }
}

impl Place {
    fn of(position: &Position) -> Self {
        Self {
            sequence_number: SequenceText(position.sequence_number.clone()),
            sub_sequence_number: position.sub_sequence_number,
        }
    }

    pub(super) fn position(&self, shard: &ShardId) -> Position {
        let position = Position::new(shard.clone(), self.sequence_number.0.clone());
        position.at_sub_sequence_number(self.sub_sequence_number)
    }
}

impl Manifest {
    /// Returns the manifest of an object with these segments, back to back.
    pub(crate) fn of<'a>(
        object: &Path,
        segments: impl IntoIterator<Item = (&'a Path, &'a SealedObject)>,
    ) -> Self {
        let mut bytes = 0;
        let segment = |(id, sealed): (&Path, &SealedObject)| {
            let offset = bytes;
            bytes += sealed.bytes;
            Segment {
                id: id.to_string(),
                shard_id: sealed.first.shard_id.to_string(),
                first: Place::of(&sealed.first),
                last: Place::of(&sealed.last),
                records: sealed.records,
                offset,
                bytes: sealed.bytes,
            }
        };
        let segments = segments.into_iter().map(segment).collect();
        Self {
            version: VERSION,
            object: object.to_string(),
            bytes,
            segments,
        }
    }

    /// Returns the manifest's key.
    pub(crate) fn key(&self) -> Path {
        Path::from(format!("{FOLDER}/{}.json", self.object))
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts have a JSON text")
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The problem: it is no manifest, it has another version, or a segment ends behind the object.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if manifest.version != VERSION {
            return Err(format!(
                "its version is {}, not {VERSION}",
                manifest.version
            ));
        }
        let is_inside = |segment: &Segment| {
            let end = segment.offset.checked_add(segment.bytes);
            end.is_some_and(|end| end <= manifest.bytes)
        };
        match manifest.segments.iter().find(|segment| !is_inside(segment)) {
            Some(outside) => Err(format!("the segment {} ends behind the object", outside.id)),
            None => Ok(manifest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_others_wrote_is_read_or_refused_with_the_problem() {
        let json = r#"{"version":1,"object":"a/m.jsonl","bytes":9,"segments":[{"id":"a/s-7-0.jsonl","shard_id":"s",
            "first":{"sequence_number":"49590338271490256608559692538361571095921575989136588898","sub_sequence_number":0},
            "last":{"sequence_number":"49590338271490256608559692538361571095921575989136588899","sub_sequence_number":2},
            "records":3,"offset":0,"bytes":9}]}"#;
        let manifest = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest.clone()));
        assert_eq!(manifest.key().as_ref(), "_manifests/a/m.jsonl.json");
        for (from, to, problem) in [
            ("\"version\":1", "\"version\":2", "its version is 2"),
            ("\"offset\":0", "\"offset\":1", "ends behind the object"),
            (
                "\"offset\":0",
                "\"offset\":18446744073709551615",
                "ends behind the object",
            ),
            ("\"records\":3,", "", "missing field `records`"),
            (
                "49590338271490256608559692538361571095921575989136588898",
                "x",
                "sequence number",
            ),
        ] {
            let error = Manifest::parse(json.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
