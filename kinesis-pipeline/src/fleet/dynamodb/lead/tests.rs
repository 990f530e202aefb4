use super::*;
use crate::fleet::tests::vectors;

fn row(key: &str, values: &[(&str, &str)]) -> Item {
    let key = [(COORDINATOR_KEY, key)];
    let values = values.iter().chain(&key);
    values
        .map(|(name, value)| ((*name).to_owned(), text(value)))
        .collect()
}

/// Returns the rows that KCL 3.1.3 wrote.
fn recorded() -> Vec<Item> {
    vectors::coordinator("3x_04_with_foreign_worker").0
}

fn metrics(updated_at: u64, is_ours: bool) -> MetricsRow {
    MetricsRow {
        updated_at,
        is_ours,
    }
}

fn versioned(version: &str) -> CoordinatorRows {
    let mut items = recorded();
    items.retain(|item| item[COORDINATOR_KEY] == text(LEADER));
    items.push(row(CLIENT_VERSION, &[("cv", version)]));
    CoordinatorRows::decode(&items, COORDINATOR_KEY)
}

#[test]
fn every_recorded_fleet_with_a_leader_is_led_and_names_it() {
    for (moment, coordinator, _) in vectors::coordinators() {
        let rows = CoordinatorRows::decode(&coordinator, COORDINATOR_KEY);
        assert_eq!(
            rows.client_version.as_deref(),
            Some("CLIENT_VERSION_3X"),
            "{moment}"
        );
        assert!(rows.wants_metrics(), "{moment}");
        // A leader that stops releases its lock.
        let Some(leader) = &rows.leader else {
            assert_eq!(moment, "3x_08_after_clean_stop_of_last_worker");
            assert_eq!(rows.lead(Duration::ZERO), Led::Silent(FleetLead::Vacant));
            continue;
        };
        assert_eq!(leader.duration, Duration::from_mins(2), "{moment}");
        assert!(["k1", "j1", "j2"].contains(&&*leader.owner), "{moment}");
        assert_eq!(
            rows.lead(Duration::ZERO),
            Led::Known(FleetLead::Leader),
            "{moment}"
        );
    }
}

#[test]
fn a_leader_leads_until_its_row_is_silent_for_the_duration_of_its_lock() {
    let rows = CoordinatorRows::decode(&recorded(), COORDINATOR_KEY);
    let seconds = Duration::from_secs;
    assert_eq!(rows.lead(seconds(59)), Led::Known(FleetLead::Leader));
    assert_eq!(rows.lead(seconds(60)), Led::Silent(FleetLead::Leader));
    assert_eq!(rows.lead(seconds(119)), Led::Silent(FleetLead::Leader));
    assert_eq!(rows.lead(seconds(120)), Led::Silent(FleetLead::Vacant));
}

#[test]
fn a_lock_may_last_for_another_time() {
    let leader = [
        ("leaseDuration", "90000"),
        ("ownerName", "k"),
        ("recordVersionNumber", "1"),
    ];
    let items = [row(LEADER, &leader)];
    let rows = CoordinatorRows::decode(&items, COORDINATOR_KEY);
    assert_eq!(
        rows.lead(Duration::from_secs(89)),
        Led::Silent(FleetLead::Leader)
    );
    assert_eq!(
        rows.lead(Duration::from_secs(90)),
        Led::Silent(FleetLead::Vacant)
    );
}

#[test]
fn a_fleet_in_the_mode_of_kcl_2_is_not_led_although_it_has_a_leader() {
    for (version, wants_metrics) in [
        ("CLIENT_VERSION_2X", false),
        ("CLIENT_VERSION_UPGRADE_FROM_2X", true),
    ] {
        let rows = versioned(version);
        assert_eq!(rows.lead(Duration::ZERO), Led::Known(FleetLead::Workers));
        assert_eq!(rows.wants_metrics(), wants_metrics, "{version}");
    }
    for version in ["CLIENT_VERSION_3X", "CLIENT_VERSION_3X_WITH_ROLLBACK"] {
        assert_eq!(
            versioned(version).lead(Duration::ZERO),
            Led::Known(FleetLead::Leader)
        );
    }
}

#[test]
fn while_the_leader_is_silent_live_java_workers_are_left_to_themselves() {
    let (ours, java) = (metrics(1_000, true), metrics(1_000, false));
    let lead = |metrics: &[MetricsRow], now| while_silent(FleetLead::Vacant, metrics, now);
    assert_eq!(lead(&[], 1_000), FleetLead::Workers);
    assert_eq!(lead(std::slice::from_ref(&ours), 1_000), FleetLead::Workers);
    assert_eq!(lead(&[ours, java.clone()], 1_059), FleetLead::Vacant);
    assert_eq!(lead(&[java], 1_060), FleetLead::Workers);
}

#[test]
fn the_metrics_move_before_the_coordinator_is_done() {
    let statuses = ["INIT", "DEPLOYED", "PENDING", "COMPLETE"];
    let layouts = statuses.map(|status| {
        let status = format!("TABLE_MIGRATION_STATUS_{status}");
        let rows = [row(TABLE_MIGRATION, &[("tm", status.as_str())])];
        let rows = CoordinatorRows::decode(&rows, COORDINATOR_KEY);
        CoordinatorRows::join(rows, CoordinatorRows::default()).map(|(_, layout)| layout)
    });
    let (three, one) = (Some(Layout::ThreeTables), Some(Layout::OneTable));
    assert_eq!(layouts, [three, three, one, one]);
}

#[test]
fn without_a_state_row_the_coordinators_own_table_says_that_there_are_three() {
    let rows = CoordinatorRows::decode(&recorded(), COORDINATOR_KEY);
    let none = CoordinatorRows::default;
    let layout = |own, lease| CoordinatorRows::join(own, lease).map(|(_, layout)| layout);
    assert_eq!(layout(none(), none()), None);
    assert_eq!(layout(rows.clone(), none()), Some(Layout::ThreeTables));
    assert_eq!(layout(none(), rows), Some(Layout::OneTable));
}

#[test]
fn of_a_row_in_both_tables_the_one_in_use_counts() {
    let leader = |owner| {
        let values = [("ownerName", owner), ("recordVersionNumber", "1")];
        row(LEADER, &values)
    };
    let status = |status| row(TABLE_MIGRATION, &[("tm", status)]);
    let owner = |own_status, lease_status| {
        let own = [leader("old"), status(own_status)];
        let lease = [leader("new"), status(lease_status)];
        let [own, lease] = [own, lease].map(|rows| CoordinatorRows::decode(&rows, COORDINATOR_KEY));
        CoordinatorRows::join(own, lease)
            .unwrap()
            .0
            .leader
            .unwrap()
            .owner
    };
    assert_eq!(owner("TABLE_MIGRATION_STATUS_DEPLOYED", "?"), "old");
    let complete = "TABLE_MIGRATION_STATUS_COMPLETE";
    assert_eq!(owner("TABLE_MIGRATION_STATUS_DEPLOYED", complete), "new");
    assert_eq!(owner(complete, complete), "new");
}

#[test]
fn a_worker_writes_each_attribute_of_kcls_metrics_in_its_type() {
    let own = |layout| -> Item {
        let values = MetricsRow::own(layout, 1_795_234_320).into_iter();
        values
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    };
    let (_, _, recorded) = vectors::coordinators().remove(0);
    let (three, one) = (own(Layout::ThreeTables), own(Layout::OneTable));
    for (name, theirs) in &recorded[0] {
        match (name.as_str(), theirs) {
            (WORKER, _) => assert!(!three.contains_key(WORKER), "the key is not set"),
            (_, AttributeValue::N(_)) => assert!(three[name].is_n(), "{name}"),
            (_, theirs) => assert_eq!(&three[name], theirs, "{name}"),
        }
    }
    for item in [&three, &one] {
        assert_eq!(item[UPDATED_AT], number(1_795_234_320));
        assert_eq!(item[SUPPORT_UPDATED_AT], item[UPDATED_AT]);
        assert_eq!(item[SUPPORT], number(1));
    }
    assert_eq!(three.get(ENTITY_TYPE), None);
    assert_eq!(one[ENTITY_TYPE], text("WORKER_METRIC_STATS"));
    let row = MetricsRow::decode(&one, Layout::OneTable).unwrap();
    assert_eq!(row, metrics(1_795_234_320, true));
}

#[test]
fn rows_of_other_kinds_in_the_lease_table_are_no_metrics() {
    let mut item: Item = MetricsRow::own(Layout::OneTable, 7)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    item.insert(ENTITY_TYPE.to_owned(), text("STREAM"));
    assert_eq!(MetricsRow::decode(&item, Layout::OneTable), None);
    item.remove(ENTITY_TYPE);
    assert_eq!(MetricsRow::decode(&item, Layout::OneTable), None);
    assert!(MetricsRow::decode(&item, Layout::ThreeTables).is_some());
}
