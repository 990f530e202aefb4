//! Point-in-time recovery: switched on and off, and said; nothing is kept to recover from.

use std::{collections::BTreeMap, sync::Mutex};

use serde_json::{Value, json};

use crate::{
    clock::{Clock, epoch_millis},
    local::locks::lock,
};

/// The days that can be recovered unless a call says otherwise, and the most that it can say.
const DAYS_MAX: u64 = 35;

/// The tables whose recovery is on, by name.
#[derive(Debug)]
pub(super) struct Backups {
    clock: Clock,
    /// One entry for each table that is there, at most.
    tables: Mutex<BTreeMap<String, Recovery>>,
}

#[derive(Clone, Copy, Debug)]
struct Recovery {
    since_millis: u64,
    days: u64,
}

impl Backups {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            tables: Mutex::default(),
        }
    }

    /// Switches the recovery of a table that is there. An error holds the words of the service.
    pub(super) fn update(&self, table: &str, request: &Value) -> Result<(), String> {
        let specification = &request["PointInTimeRecoverySpecification"];
        let Some(is_on) = specification["PointInTimeRecoveryEnabled"].as_bool() else {
            return Err(
                "1 validation error detected: Value null at 'pointInTimeRecoverySpecification.\
                 pointInTimeRecoveryEnabled' failed to satisfy constraint: Member must not be null"
                    .to_owned(),
            );
        };
        let days = match &specification["RecoveryPeriodInDays"] {
            Value::Null => DAYS_MAX,
            days => days
                .as_u64()
                .filter(|days| (1..=DAYS_MAX).contains(days))
                .ok_or_else(|| format!("RecoveryPeriodInDays must be between 1 and {DAYS_MAX}"))?,
        };
        let since_millis = epoch_millis(self.clock.now());
        let mut tables = lock(&self.tables);
        if is_on {
            let recovery = tables.entry(table.to_owned());
            recovery.or_insert(Recovery { since_millis, days }).days = days;
        } else {
            tables.remove(table);
        }
        Ok(())
    }

    /// Returns the answer about a table that is there.
    pub(super) fn describe(&self, table: &str) -> Value {
        let recovery = lock(&self.tables).get(table).copied();
        let description = match recovery {
            None => json!({"PointInTimeRecoveryStatus": "DISABLED"}),
            Some(Recovery { since_millis, days }) => {
                let now_millis = epoch_millis(self.clock.now());
                let oldest = now_millis.saturating_sub(days * 86_400_000);
                json!({
                    "PointInTimeRecoveryStatus": "ENABLED",
                    "RecoveryPeriodInDays": days,
                    "EarliestRestorableDateTime": since_millis.max(oldest) / 1000,
                    "LatestRestorableDateTime": now_millis / 1000,
                })
            }
        };
        json!({"ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": description,
        }})
    }

    /// Forgets a table that was deleted.
    pub(super) fn forget(&self, table: &str) {
        lock(&self.tables).remove(table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(backups: &Backups) -> Value {
        backups.describe("t")["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            .clone()
    }

    #[test]
    fn recovery_is_switched_on_and_off_and_goes_with_its_table() {
        let backups = Backups::new(Clock::system());
        let switch = |is_on: bool| json!({"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": is_on}});
        assert_eq!(status(&backups)["PointInTimeRecoveryStatus"], "DISABLED");
        backups.update("t", &switch(true)).unwrap();
        assert_eq!(status(&backups)["PointInTimeRecoveryStatus"], "ENABLED");
        assert_eq!(status(&backups)["RecoveryPeriodInDays"], 35);
        backups.update("t", &switch(false)).unwrap();
        assert_eq!(status(&backups)["PointInTimeRecoveryStatus"], "DISABLED");
        backups.update("t", &switch(true)).unwrap();
        backups.forget("t");
        assert_eq!(status(&backups)["PointInTimeRecoveryStatus"], "DISABLED");
    }

    #[test]
    fn a_switch_without_its_position_or_with_too_many_days_is_refused() {
        let backups = Backups::new(Clock::system());
        let error = backups.update("t", &json!({})).unwrap_err();
        assert!(error.contains("pointInTimeRecoveryEnabled"), "{error}");
        let days = json!({"PointInTimeRecoverySpecification":
            {"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 36}});
        assert!(backups.update("t", &days).unwrap_err().contains("35"));
    }
}
