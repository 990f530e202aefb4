//! Temporary.
#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let local = kinesis_pipeline::local::LocalKinesis::start().await.unwrap();
    let server = local.serve(&args[1]).await.unwrap();
    println!("{}", server.endpoint_url());
    std::future::pending::<()>().await;
}
