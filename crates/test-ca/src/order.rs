//! Orders, authorizations and challenges (RFC 8555 sections 7.4 and 7.5).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::authority::{Authority, Signed, hold_off};
use crate::csr::{Csr, SubjectKey};
use crate::endpoint::{Endpoint, random_name};
use crate::faults::Fault;
use crate::http::Reply;
use crate::jws::decode;
use crate::names;
use crate::problem::Problem;
use crate::state::{Authz, AuthzStatus, Order, OrderStatus, State};
use crate::time::rfc3339;
use crate::validate::{self, Fetch};

impl Authority {
    /// Makes an order, with authorizations new or, where configured, reused.
    pub(crate) fn new_order(&self, state: &mut State, signed: &Signed) -> Result<Reply, Problem> {
        let account = signed.account()?;
        let wish = signed.object()?;
        if ["notBefore", "notAfter"].iter().any(|member| wish.get(member).is_some()) {
            return Err(Problem::new(400, "malformed", "notBefore and notAfter are not offered"));
        }
        let names = names::from_order(&wish)?;
        let expires = SystemTime::now() + self.config.order_lifetime;
        let ready = state.struck_by(Endpoint::NewOrder, &Fault::ReadyAtOnce);
        let authzs: Vec<usize> = names.iter().map(|name| self.find_authz(state, account, name, expires)).collect();
        if ready {
            for number in &authzs {
                (state.authzs[*number].status, state.authzs[*number].validated) =
                    (AuthzStatus::Valid, Some(SystemTime::now()));
            }
        }
        let number = state.orders.len();
        let (status, error, certificate) = (OrderStatus::Open, None, None);
        state.orders.push(Order { account, names, authzs, status, expires, error, certificate });
        if state.struck_by(Endpoint::NewOrder, &Fault::ValidAtOnce) {
            let stranger = KeyPair::generate().map_err(Problem::internal)?;
            let key =
                SubjectKey { algorithm: &rcgen::PKCS_ECDSA_P256_SHA256, bytes: stranger.public_key_raw().to_vec() };
            state.orders[number].certificate = Some(self.issue(state, Endpoint::NewOrder, number, key)?);
            state.orders[number].status = OrderStatus::Valid;
        }
        expire_if_asked(state, Endpoint::NewOrder, &[number]);
        Ok(self.order_reply(state, number, 201))
    }

    /// Shows an order; while it is processing, this counts as a poll.
    pub(crate) fn order(&self, state: &mut State, number: usize, signed: &Signed) -> Result<Reply, Problem> {
        signed.expect_account(state.orders[number].account)?;
        signed.expect_empty()?;
        expire_if_asked(state, Endpoint::Order(number), &[number]);
        let order = &mut state.orders[number];
        if let OrderStatus::Processing(left) = order.status {
            order.status = if left == 0 { OrderStatus::Valid } else { OrderStatus::Processing(left - 1) };
        }
        Ok(self.order_reply(state, number, 200))
    }

    /// Issues what was ordered (RFC 8555 section 7.4).
    pub(crate) fn finalize(&self, state: &mut State, number: usize, signed: &Signed) -> Result<Reply, Problem> {
        let endpoint = Endpoint::Finalize(number);
        signed.expect_account(state.orders[number].account)?;
        let wish = signed.object()?;
        expire_if_asked(state, endpoint, &[number]);
        match self.refresh(state, number) {
            "ready" => {}
            "pending" => return Err(not_ready("pending").mistake()),
            other => return Err(not_ready(other)),
        }
        let csr = wish["csr"].as_str().ok_or_else(|| Problem::malformed("there is no \"csr\""))?;
        let csr = Csr::parse(&decode("csr", csr)?)?;
        let order = &state.orders[number];
        if !csr.names.iter().eq(order.names.iter()) {
            let (asked, ordered) = (csr.names.into_iter().collect::<Vec<_>>().join(", "), order.names.join(", "));
            return Err(Problem::bad_csr(format!("the CSR is for {asked}, the order for {ordered}")));
        }
        if csr.key.bytes == signed.key.subject_public_key() {
            return Err(Problem::bad_csr("the certificate's key is the account's (RFC 8555 section 11.1)"));
        }
        let certificate = self.issue(state, endpoint, number, csr.key)?;
        let stuck = state.struck_by(endpoint, &Fault::Stuck);
        let order = &mut state.orders[number];
        order.certificate = Some(certificate);
        order.status = match self.config.processing {
            _ if stuck => OrderStatus::Processing(u32::MAX),
            0 => OrderStatus::Valid,
            replies => OrderStatus::Processing(replies - 1),
        };
        Ok(self.order_reply(state, number, 200))
    }

    /// Shows or deactivates an authorization.
    pub(crate) fn authz(&self, state: &mut State, number: usize, signed: &Signed) -> Result<Reply, Problem> {
        signed.expect_account(state.authzs[number].account)?;
        if !signed.payload.is_empty() {
            if signed.object()?["status"] != "deactivated" {
                return Err(Problem::malformed("an authorization can only be \"deactivated\""));
            }
            state.authzs[number].status = AuthzStatus::Deactivated;
        }
        expire_with_orders(state, Endpoint::Authz(number), number);
        let json = authz_json(state, number);
        let status = state.authzs[number].status;
        let waiting = matches!(status, AuthzStatus::Pending | AuthzStatus::Processing);
        // Before the client has said that its challenge is ready there is nothing to wait for.
        let wait_for = (status == AuthzStatus::Processing).then_some(Endpoint::Authz(number));
        Ok(self.retry_after(state, Reply::json(200, json), waiting, wait_for))
    }

    /// Shows a challenge, or starts to validate it.
    pub(crate) fn challenge(
        self: &Arc<Self>,
        state: &mut State,
        number: usize,
        signed: &Signed,
    ) -> Result<Reply, Problem> {
        let endpoint = Endpoint::Challenge(number);
        signed.expect_account(state.authzs[number].account)?;
        expire_with_orders(state, endpoint, number);
        if !signed.payload.is_empty() {
            signed.object()?;
            let authz = &state.authzs[number];
            if authz.status == AuthzStatus::Pending && authz.expires > SystemTime::now() {
                let forced = state.struck_by(endpoint, &Fault::Invalid);
                self.validate(state, number, signed.key.thumbprint(), forced)?;
            }
        }
        let json = challenge_json(state, number);
        let up = state.paths.url(Endpoint::Authz(number));
        let waiting = state.authzs[number].status == AuthzStatus::Processing;
        Ok(self.retry_after(state, Reply::json(200, json).link(&up, "up"), waiting, None))
    }

    /// The status of an order now, as JSON has it; also settles orders whose authorizations came to nothing.
    pub(crate) fn refresh(&self, state: &mut State, number: usize) -> &'static str {
        let now = SystemTime::now();
        let order = &state.orders[number];
        match order.status {
            OrderStatus::Valid => return "valid",
            OrderStatus::Invalid => return "invalid",
            OrderStatus::Processing(_) => return "processing",
            OrderStatus::Open => {}
        }
        let failed = order.authzs.iter().map(|n| &state.authzs[*n]).find(|a| !is_alive(a, now));
        let error = match failed {
            Some(authz) => Some(authz.error.clone().unwrap_or_else(|| {
                Problem::unauthorized(format!("the authorization for {} has ended", authz.name)).about(&authz.name)
            })),
            None if order.expires <= now => Some(Problem::malformed("the order has expired")),
            None => None,
        };
        if error.is_some() {
            (state.orders[number].status, state.orders[number].error) = (OrderStatus::Invalid, error);
            return "invalid";
        }
        let all = order.authzs.iter().all(|n| state.authzs[*n].status == AuthzStatus::Valid);
        if all { "ready" } else { "pending" }
    }

    fn find_authz(&self, state: &mut State, account: usize, name: &str, expires: SystemTime) -> usize {
        let now = SystemTime::now();
        let usable =
            |a: &Authz| a.account == account && a.name == name && a.status == AuthzStatus::Valid && a.expires > now;
        if let Some(number) = state.authzs.iter().position(usable).filter(|_| self.config.authz_reuse) {
            return number;
        }
        state.authzs.push(Authz {
            account,
            name: name.to_owned(),
            token: random_name(),
            status: AuthzStatus::Pending,
            expires,
            error: None,
            validated: None,
        });
        state.authzs.len() - 1
    }

    /// Fetches the challenge on a thread of its own, which then settles the authorization.
    fn validate(
        self: &Arc<Self>,
        state: &mut State,
        number: usize,
        print: String,
        forced: bool,
    ) -> Result<(), Problem> {
        let authz = &mut state.authzs[number];
        let fetch = Fetch {
            name: authz.name.clone(),
            token: authz.token.clone(),
            key_authorization: format!("{}.{print}", authz.token),
            addresses: self.config.names.lookup(&authz.name),
            timeout: self.config.validation_timeout,
        };
        let this = Arc::clone(self);
        let work = move || {
            if !this.stop().wait(this.config.validation_delay) {
                return;
            }
            let outcome = if forced { Err(validate::refusal(&fetch.name)) } else { fetch.run(this.stop()) };
            settle(&mut this.state().authzs[number], outcome);
        };
        let thread =
            std::thread::Builder::new().name("test-ca validation".into()).spawn(work).map_err(Problem::internal)?;
        authz.status = AuthzStatus::Processing;
        self.keep(thread);
        Ok(())
    }

    fn order_reply(&self, state: &mut State, number: usize, status: u16) -> Reply {
        let shown = self.refresh(state, number);
        let order = &state.orders[number];
        let identifiers: Vec<Value> = order.names.iter().map(|name| names::identifier(name)).collect();
        let mut json = json!({"status": shown, "expires": rfc3339(order.expires), "identifiers": identifiers});
        if let Some(error) = &order.error {
            json["error"] = error.to_json();
        }
        let (authzs, certificate) = (order.authzs.clone(), order.certificate);
        json["authorizations"] = authzs.iter().map(|n| state.paths.url(Endpoint::Authz(*n))).collect();
        json["finalize"] = state.paths.url(Endpoint::Finalize(number)).into();
        if let (Some(certificate), "valid") = (certificate, shown) {
            json["certificate"] = state.paths.url(Endpoint::Certificate(certificate, 0)).into();
        }
        let location = state.paths.url(Endpoint::Order(number));
        let reply = Reply::json(status, json).header("Location", location);
        self.retry_after(state, reply, shown == "processing", Some(Endpoint::Order(number)))
    }

    /// Tells a client that has to wait how long, and remembers it for `wait_for`.
    fn retry_after(&self, state: &mut State, reply: Reply, waiting: bool, wait_for: Option<Endpoint>) -> Reply {
        let Some(after) = self.config.retry_after.as_ref().filter(|_| waiting) else { return reply };
        if let (Some(endpoint), Some(wait)) = (wait_for, after.wait()) {
            hold_off(state, endpoint, wait);
        }
        reply.header("Retry-After", after.header(SystemTime::now()))
    }
}

/// What came of a validation, unless something else came between.
fn settle(authz: &mut Authz, outcome: Result<(), Problem>) {
    if authz.status != AuthzStatus::Processing {
        return;
    }
    match outcome {
        Ok(()) => (authz.status, authz.validated) = (AuthzStatus::Valid, Some(SystemTime::now())),
        Err(problem) => (authz.status, authz.error) = (AuthzStatus::Invalid, Some(problem)),
    }
}

fn not_ready(status: &str) -> Problem {
    Problem::new(403, "orderNotReady", format!("the order is {status}, not ready"))
}

fn is_alive(authz: &Authz, now: SystemTime) -> bool {
    let open = matches!(authz.status, AuthzStatus::Pending | AuthzStatus::Processing | AuthzStatus::Valid);
    open && authz.expires > now
}

/// Lets `orders` and their authorizations expire when the fault strikes.
fn expire_if_asked(state: &mut State, endpoint: Endpoint, orders: &[usize]) {
    if state.struck_by(endpoint, &Fault::Expired) {
        let past = SystemTime::now() - Duration::from_secs(1);
        for number in orders {
            state.orders[*number].expires = past;
            for authz in state.orders[*number].authzs.clone() {
                state.authzs[authz].expires = past;
            }
        }
    }
}

/// The same for the orders of an authorization.
fn expire_with_orders(state: &mut State, endpoint: Endpoint, authz: usize) {
    let orders: Vec<usize> = (0..state.orders.len()).filter(|n| state.orders[*n].authzs.contains(&authz)).collect();
    expire_if_asked(state, endpoint, &orders);
}

fn authz_json(state: &mut State, number: usize) -> Value {
    let mut challenges = vec![challenge_json(state, number)];
    let other = state.paths.url(Endpoint::OtherChallenge(number));
    let authz = &state.authzs[number];
    let status = match authz.status {
        _ if authz.expires <= SystemTime::now() && is_alive(authz, SystemTime::UNIX_EPOCH) => "expired",
        AuthzStatus::Pending | AuthzStatus::Processing => "pending",
        AuthzStatus::Valid => "valid",
        AuthzStatus::Invalid => "invalid",
        AuthzStatus::Deactivated => "deactivated",
    };
    if status == "pending" {
        // First, and of a type that no client knows: it must look for the one it can meet.
        let token = random_name();
        challenges.insert(0, json!({"type": "test-unknown-01", "status": "pending", "url": other, "token": token}));
    }
    json!({
        "identifier": names::identifier(&authz.name),
        "status": status,
        "expires": rfc3339(authz.expires),
        "challenges": challenges,
    })
}

fn challenge_json(state: &mut State, number: usize) -> Value {
    let url = state.paths.url(Endpoint::Challenge(number));
    let authz = &state.authzs[number];
    let status = match authz.status {
        AuthzStatus::Pending | AuthzStatus::Deactivated => "pending",
        AuthzStatus::Processing => "processing",
        AuthzStatus::Valid => "valid",
        AuthzStatus::Invalid => "invalid",
    };
    let mut json = json!({"type": "http-01", "url": url, "status": status, "token": authz.token});
    if let Some(time) = authz.validated {
        json["validated"] = rfc3339(time).into();
    }
    if let Some(error) = &authz.error {
        json["error"] = error.to_json();
    }
    json
}
