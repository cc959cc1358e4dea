//! Draining and activation, with a clock that the test moves.

use super::*;

const TARGET: &str = "172.31.0.200";
/// The default delay is 300 s, and a minute passes in a second.
const DELAY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_target_drains_as_long_as_its_group_says() {
    let fixture = Fixture::new().await;
    let group = fixture.group("web").await;
    fixture.register(&group, TARGET).await;
    fixture.deregister(&group, TARGET).await;
    for (name, passed, want) in [
        ("at once", Duration::ZERO, vec![(TARGET.to_owned(), true)]),
        (
            "just before",
            DELAY - Duration::from_millis(1),
            vec![(TARGET.to_owned(), true)],
        ),
        ("over", Duration::from_millis(1), vec![]),
    ] {
        fixture.clock.advance(passed);
        let next = drain::pass(&fixture.state).await.unwrap();
        assert_eq!(fixture.targets(&group).await, want, "{name}");
        assert_eq!(
            next.is_some(),
            !want.is_empty(),
            "{name}: when to look again"
        );
    }
}

#[tokio::test]
async fn a_target_that_is_registered_anew_stays() {
    let fixture = Fixture::new().await;
    let group = fixture.group("web").await;
    fixture.register(&group, TARGET).await;
    fixture.deregister(&group, TARGET).await;
    fixture.register(&group, TARGET).await;
    fixture.clock.advance(DELAY * 2);
    assert_eq!(drain::pass(&fixture.state).await.unwrap(), None);
    assert_eq!(fixture.targets(&group).await, [(TARGET.to_owned(), false)]);
}

#[tokio::test]
async fn the_reconciler_wakes_for_records_and_for_time() {
    let fixture = Fixture::new().await;
    let group = fixture.group("web").await;
    fixture.register(&group, TARGET).await;
    let state = fixture.state.clone();
    let running = tokio::spawn(async move { drain::run(&state).await });
    fixture.deregister(&group, TARGET).await;
    fixture.clock.advance(DELAY);
    // The test's own time limit is that of the test runner.
    while !fixture.targets(&group).await.is_empty() {
        fixture.clock.advance(Duration::ZERO);
        tokio::task::yield_now().await;
    }
    running.abort();
}

#[tokio::test]
async fn a_load_balancer_is_active_once_it_was_served_and_stays_so() {
    let fixture = Fixture::new().await;
    let arn = fixture.balancer("web").await;
    let state = || async {
        let found = call!(fixture, describe_load_balancers, {});
        text(&found, "/LoadBalancers/0/State/Code")
    };
    assert_eq!(state().await, "provisioning");
    let (records, plane) = (fixture.state.clone(), fixture.plane.clone());
    let running = tokio::spawn(async move { activation::run(&records, &*plane).await });
    fixture.plane.serving.lock().push(arn.clone());
    fixture.plane.changed.send_modify(|count| *count += 1);
    loop {
        let found = lookup::load_balancer(&fixture.state, &fixture.scope, &arn)
            .await
            .unwrap();
        if found.record.active_since.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    fixture.plane.serving.lock().clear();
    assert_eq!(state().await, "active");
    running.abort();
}
