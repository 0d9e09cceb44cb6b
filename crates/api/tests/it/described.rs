//! The description of the routes at `/v1/openapi.json`.

use crate::common::World;

#[tokio::test]
async fn every_route_is_described_with_its_refusals() {
    let document = World::start().await.get("/v1/openapi.json", "").await.expect(200).body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 13, "{}", paths.len());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("503"), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let signed = path.starts_with("/v1/pictures/");
            let open = signed || path.starts_with("/v1/auth/") && path != "/v1/auth/sign-out";
            assert_eq!(operation["security"].is_array(), !open, "{method} {path}");
            assert!(open || responses.contains_key("401"), "{method} {path}");
        }
    }
}
