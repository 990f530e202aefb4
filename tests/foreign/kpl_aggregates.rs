//! Writes and splits KPL aggregates for programs in other languages: one line in, one line out.
//!
//! ```text
//!   split HEX                        ->  a JSON array of user records, or null for what is no aggregate
//!   write [{"key":..,"hash_key":..,"data":HEX},..]  ->  HEX
//! ```

use std::io::{BufRead as _, Write as _};

use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, PartitionKey, wire::aggregate};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("split", hex)) => writeln!(out, "{}", split(&bytes(hex)?))?,
            Some(("write", records)) => writeln!(out, "{}", write(records)?)?,
            _ => return Err("each line begins with `split` or `write`".into()),
        }
        out.flush()?;
    }
    Ok(())
}

fn split(data: &Bytes) -> Value {
    let Some(aggregate) = aggregate::split(data) else {
        return Value::Null;
    };
    let record = |record: EncodedRecord| {
        json!({
            "key": record.partition_key.as_str(),
            "hash_key": record.explicit_hash_key.map(|key| key.to_string()),
            "data": hex(&record.data),
        })
    };
    aggregate.iter().map(record).collect()
}

fn write(records: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut writer = aggregate::Writer::new();
    for record in serde_json::from_str::<Vec<Value>>(records)? {
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        let data = bytes(text("data"))?;
        let mut encoded = EncodedRecord::new(PartitionKey::new(text("key"))?, data);
        if let Some(key) = record["hash_key"].as_str() {
            encoded.explicit_hash_key = Some(key.parse()?);
        }
        writer.push(&encoded);
    }
    Ok(hex(&writer.finish()))
}

fn hex(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut hex, byte| {
        let _ = std::fmt::Write::write_fmt(&mut hex, format_args!("{byte:02x}"));
        hex
    })
}

fn bytes(hex: &str) -> Result<Bytes, std::num::ParseIntError> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
    (0..hex.len()).step_by(2).map(byte).collect()
}
