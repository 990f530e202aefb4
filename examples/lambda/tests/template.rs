//! Checks that the template is YAML and has the required parts of the stack.

use serde_json::{Value, json};

#[test]
fn the_template_is_yaml_and_holds_the_stack() {
    let template: Value = serde_saphyr::from_str(include_str!("../template.yaml")).expect("YAML");
    let resources = &template["Resources"];
    let kind = |name: &str| resources[name]["Type"].clone();
    assert_eq!(kind("Bucket"), "AWS::S3::Bucket");
    assert_eq!(
        kind("DeliveryStream"),
        "AWS::KinesisFirehose::DeliveryStream"
    );
    assert_eq!(kind("Function"), "AWS::Lambda::Function");

    let function = &resources["Function"]["Properties"];
    assert_eq!(function["Runtime"], "provided.al2023");
    assert_eq!(function["Architectures"], json!(["arm64"]));
    assert_eq!(function["Handler"], "bootstrap");

    let stream = &resources["DeliveryStream"]["Properties"]["ExtendedS3DestinationConfiguration"];
    let buffering = json!({ "IntervalInSeconds": 60, "SizeInMBs": 50 });
    assert_eq!(stream["BufferingHints"], buffering);
    let text = |field: &str| stream[field].as_str().expect("a text").to_owned();
    assert!(text("Prefix").starts_with("firehose/"));
    assert!(text("ErrorOutputPrefix").contains("!{firehose:error-output-type}"));
    let processing = &stream["ProcessingConfiguration"];
    assert_eq!(processing["Enabled"], true);
    assert_eq!(processing["Processors"][0]["Type"], "Lambda");
}
