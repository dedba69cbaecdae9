//! Who is paid, and how are top-ups bounded? A mistake here costs money, so what is doubtful is refused.

use std::{collections::BTreeMap, time::Duration};

use ::payments::{
    grant::GrantCaps,
    reconcile::FeeTiers,
    topup::{BadRungs, BonusRung, BonusRungs, Gift, GuardBounds, Rollout},
};
use router_config::{KeyPath, SecretRef};
use units::{Fen, NanoCny};

use super::{
    MerchantMode, MerchantSettings, PaymentSettings, PlatformPublicKey, Secret, TopupSettings, V2Settings,
    V3Settings, WechatApi,
    check::Checks,
    raw::{
        DeviceIdRule, RawBonus, RawFees, RawGrants, RawGuard, RawMerchant, RawPayments, RawRollout, RawTopup,
    },
};

/// The usual address, and the one in another city.
/// Source: WeChat Pay API v3, disaster recovery across cities.
const WECHAT_PAY: &str = "https://api.mch.weixin.qq.com";
const WECHAT_PAY_BACKUP: &str = "https://api2.mch.weixin.qq.com";
/// The host of the real API, and of its stand-by.
const WECHAT_PAY_DOMAIN: &str = "mch.weixin.qq.com";

/// An order of API v2 ends no sooner. Source: WeChat Pay API v2, unified order, `time_expire`.
const V2_EXPIRES_MIN: Duration = Duration::from_secs(300);
/// Bytes of what the payer reads under API v2. Source: WeChat Pay API v2, unified order, `body`.
const V2_DESCRIPTION_BYTES_MAX: usize = 127;

/// Nobody is lent more than this: more is a credit line, and none is kept here.
const GRANT_MAX: NanoCny = NanoCny::from_yuan(100);

/// Rungs of a bonus: more are a mistake of whoever generates the file.
const BONUS_RUNGS_MAX: usize = 20;
/// A hundredth of a per cent, in millionths of one.
const MICRO_PER_STEP: i64 = 10_000;

/// Checks `[payments]`.
pub(super) fn check(raw: RawPayments, checks: &mut Checks<'_>) -> Option<PaymentSettings> {
    let path = KeyPath::new("payments");
    let mut merchants = BTreeMap::new();
    for (name, merchant) in &raw.wechat {
        let path = path.key("wechat").key(name);
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            let what = "a merchant's name stands in a URL: up to 32 of a-z, 0-9, `-` and `_`";
            checks.problems.add(path.clone(), what);
        }
        if let Some(merchant) = self::merchant(&path, merchant, checks) {
            merchants.insert(name.clone(), merchant);
        }
    }
    let topup = topup(&path.key("topup"), raw.topup, checks);
    if let Some(topup) = &topup
        && raw.wechat.values().any(|merchant| merchant.api == WechatApi::V2)
    {
        for_v2(&path.key("topup"), topup, checks);
    }
    let bonus = bonus(&path.key("bonus"), &raw.bonus, topup.as_ref(), checks);
    let grants = grants(&path.key("grants"), &raw.grants, checks);
    let fees = fees(&path.key("fees"), &raw.fees, checks);
    let above = match raw.refunds.approve_above.as_str() {
        "" => Some(None),
        text => {
            checks.problems.catch(path.key("refunds").key("approve_above"), text.parse::<Fen>()).map(Some)
        }
    };
    let rollout = rollout(&path.key("rollout"), &raw.rollout, checks);
    let guard = guard(&path.key("guard"), &raw.guard, checks);
    Some(PaymentSettings {
        rollout: rollout?,
        guard: guard?,
        merchants,
        topup: topup?,
        bonus: bonus?,
        grants: grants?,
        refunds_approved_above: above?,
        fees: fees?,
    })
}

fn rollout(path: &KeyPath, raw: &RawRollout, checks: &mut Checks<'_>) -> Option<Rollout> {
    checks.within(path.key("percent"), u64::from(raw.percent), 0, 100);
    checks.within(path.key("stop_above_percent"), u64::from(raw.stop_above_percent), 1, 100);
    checks.within(path.key("window_secs"), raw.window_secs, 10, 86_400);
    checks.within(path.key("orders_min"), u64::from(raw.orders_min), 1, 1_000);
    Some(Rollout {
        percent: raw.percent,
        stop_above_percent: raw.stop_above_percent,
        window: Duration::from_secs(raw.window_secs),
        orders_min: usize::try_from(raw.orders_min).ok()?,
    })
}

fn guard(path: &KeyPath, raw: &RawGuard, checks: &mut Checks<'_>) -> Option<GuardBounds> {
    checks.within(path.key("slow_above_percent"), u64::from(raw.slow_above_percent), 1, 100);
    checks.within(path.key("stop_above_percent"), u64::from(raw.stop_above_percent), 1, 100);
    if raw.stop_above_percent < raw.slow_above_percent {
        let what = format!("less than `slow_above_percent` = {}", raw.slow_above_percent);
        checks.problems.add(path.key("stop_above_percent"), what);
    }
    checks.within(path.key("window_secs"), raw.window_secs, 10, 604_800);
    // An account's orders are looked at 200 back.
    checks.within(path.key("orders_min"), u64::from(raw.orders_min), 1, 200);
    checks.within(path.key("pause_secs"), raw.pause_secs, 1, 3_600);
    Some(GuardBounds {
        slow_above_percent: raw.slow_above_percent,
        stop_above_percent: raw.stop_above_percent,
        window: Duration::from_secs(raw.window_secs),
        orders_min: usize::try_from(raw.orders_min).ok()?,
        pause: Duration::from_secs(raw.pause_secs),
    })
}

/// What is given is our cost, so it is bounded by what is paid, and grows with it.
fn bonus(
    path: &KeyPath,
    raw: &[RawBonus],
    topup: Option<&TopupSettings>,
    checks: &mut Checks<'_>,
) -> Option<BonusRungs> {
    if raw.len() > BONUS_RUNGS_MAX {
        checks.problems.add(path.clone(), format!("there are at most {BONUS_RUNGS_MAX}"));
    }
    let mut rungs = Vec::with_capacity(raw.len());
    for (i, rung) in raw.iter().enumerate() {
        let path = path.index(i);
        let from = checks.problems.catch(path.key("from"), rung.from.parse::<Fen>());
        if let (Some(from), Some(topup)) = (from, topup)
            && from > topup.max
        {
            let what = format!("more than the largest top-up, `payments.topup.max` = {}", topup.max);
            checks.problems.add(path.key("from"), what);
        }
        let gift = gift(&path, rung, checks);
        rungs.extend(from.zip(gift).map(|(from, gift)| BonusRung { from, gift }));
    }
    if rungs.len() < raw.len() {
        return None;
    }
    BonusRungs::new(&rungs)
        .map_err(|bad| {
            let path = path.index(bad.rung());
            let key = match bad {
                BadRungs::Twice(..) => "from",
                _ if raw[bad.rung()].percent.is_some() => "percent",
                _ => "amount",
            };
            checks.problems.add(path.key(key), bad.to_string());
        })
        .ok()
}

fn gift(path: &KeyPath, raw: &RawBonus, checks: &mut Checks<'_>) -> Option<Gift> {
    match (&raw.percent, &raw.amount) {
        (Some(percent), None) => {
            let path = path.key("percent");
            let micro = checks.problems.catch(path.clone(), router_config::parse_micro(percent))?;
            if micro % MICRO_PER_STEP != 0 {
                checks.problems.add(path, "more than 2 decimals");
                return None;
            }
            Some(Gift::Share(micro / MICRO_PER_STEP))
        }
        (None, Some(amount)) => {
            checks.problems.catch(path.key("amount"), amount.parse::<Fen>()).map(Gift::Amount)
        }
        (percent, _) => {
            let what = "says how much is given in one way: `percent` or `amount`";
            let path = if percent.is_some() { path.key("amount") } else { path.clone() };
            checks.problems.add(path, what);
            None
        }
    }
}

/// What is lent may be lost: each of these is a bound on that.
fn grants(path: &KeyPath, raw: &RawGrants, checks: &mut Checks<'_>) -> Option<GrantCaps> {
    let mut lent = |key: &str, text: &str| {
        let amount = checks.problems.catch(path.key(key), text.parse::<NanoCny>())?;
        if amount.is_negative() || amount > GRANT_MAX {
            checks.problems.add(path.key(key), format!("must be from 0.00 to {GRANT_MAX}"));
        }
        Some(amount)
    };
    let (newcomer, returning) = (lent("newcomer", &raw.newcomer), lent("returning", &raw.returning));
    checks.within(path.key("per_day"), u64::from(raw.per_day), 0, 100);
    checks.within(path.key("lasts_secs"), raw.lasts_secs, 10, 3_600);
    Some(GrantCaps {
        newcomer: newcomer?,
        returning: returning?,
        per_day: i64::from(raw.per_day),
        lasts_secs: i64::try_from(raw.lasts_secs).ok()?,
        unclaimed: raw.unclaimed,
    })
}

/// What the channel keeps. More than a tenth of a payment is a mistake of whoever wrote the file.
fn fees(path: &KeyPath, raw: &RawFees, checks: &mut Checks<'_>) -> Option<FeeTiers> {
    checks.within(path.key("basis_points"), u64::from(raw.basis_points), 0, 1_000);
    let above = checks.problems.catch(path.key("above"), raw.above.parse::<Fen>());
    checks.within(path.key("basis_points_above"), u64::from(raw.basis_points_above), 0, 1_000);
    let (basis_points, basis_points_above) = (raw.basis_points, raw.basis_points_above);
    Some(FeeTiers { basis_points, above: above?, basis_points_above })
}

/// API v2 has bounds of its own.
fn for_v2(path: &KeyPath, topup: &TopupSettings, checks: &mut Checks<'_>) {
    if topup.expires < V2_EXPIRES_MIN {
        let what = "an order of API v2 can be paid for 300 seconds at least";
        checks.problems.add(path.key("expires_secs"), what);
    }
    if topup.description.len() > V2_DESCRIPTION_BYTES_MAX {
        let what =
            format!("API v2 takes {V2_DESCRIPTION_BYTES_MAX} bytes at most; a Chinese character is three");
        checks.problems.add(path.key("description"), what);
    }
}

fn topup(path: &KeyPath, raw: RawTopup, checks: &mut Checks<'_>) -> Option<TopupSettings> {
    let min = checks.problems.catch(path.key("min"), raw.min.parse::<Fen>());
    let max = checks.problems.catch(path.key("max"), raw.max.parse::<Fen>());
    if let Some(min) = min {
        checks.problems.catch(path.key("min"), min.at_least_one());
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        checks.problems.add(path.key("max"), format!("less than the smallest top-up, `min` = {min}"));
    }
    checks.within(path.key("expires_secs"), raw.expires_secs, 60, 7_200);
    checks.within(path.key("open_orders_max"), u64::from(raw.open_orders_max), 1, 1_000);
    let length = raw.description.chars().count();
    if !(1..=127).contains(&length) || raw.description.chars().any(char::is_control) {
        checks.problems.add(path.key("description"), "must be 1 to 127 characters on one line");
    }
    if raw.description.chars().any(|c| c.len_utf8() > 3) {
        checks.problems.add(path.key("description"), "WeChat Pay takes no emoji here");
    }
    Some(TopupSettings {
        min: min?,
        max: max?,
        expires: Duration::from_secs(raw.expires_secs),
        description: raw.description,
        open_orders_max: raw.open_orders_max,
        needs_device: raw.device_id == DeviceIdRule::Required,
    })
}

fn merchant(path: &KeyPath, raw: &RawMerchant, checks: &mut Checks<'_>) -> Option<MerchantSettings> {
    let base_url = checks.url(&path.key("base_url"), &raw.base_url);
    if let Some(base_url) = &base_url {
        right_address(&path.key("base_url"), raw.mode, base_url, checks);
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if raw.mchid.is_empty() || raw.mchid.len() > 32 || !digits(&raw.mchid) {
        checks.problems.add(path.key("mchid"), "a merchant number is about ten digits");
    }
    let apps = [("appid", Some(&raw.appid)), ("mini_program_appid", raw.mini_program_appid.as_ref())];
    for (key, appid) in apps.into_iter().filter_map(|(key, appid)| Some((key, appid?))) {
        // Hex digits are what all of today's have; WeChat's own documentation has one with other letters.
        if !appid.starts_with("wx") || appid.len() != 18 || !appid.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            checks.problems.add(path.key(key), "an app id is `wx` and 16 hex digits");
        }
    }
    if let Some(page) = &raw.mini_program_page {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
        if raw.mini_program_appid.is_none() {
            checks
                .problems
                .add(path.key("mini_program_page"), "there is no `mini_program_appid` whose page it is");
        }
        if page.is_empty() || page.starts_with('/') || !page.bytes().all(plain) {
            let what =
                "a page is a path such as `pages/pay/index`, without a leading `/` and without a query";
            checks.problems.add(path.key("mini_program_page"), what);
        }
    }
    let ca = raw.ca.as_ref().and_then(|at| authority(&path.key("ca"), raw, at, checks));
    let backup_url = backup_url(path, raw, base_url.as_deref(), checks);
    secrets_are_elsewhere(path, raw, checks);
    let key_v2 = raw.api_v2_key.is_some() || raw.api == WechatApi::V2;
    let key_v3 = raw.api_v3_key.is_some() || raw.api == WechatApi::V3;
    let mut amiss = Vec::new();
    let v3 = if key_v3 { keys(checks, &mut amiss, |checks| v3(path, raw, checks)) } else { None };
    let v2 = if key_v2 { keys(checks, &mut amiss, |checks| v2(path, raw, checks)) } else { None };
    Some(MerchantSettings {
        mode: raw.mode,
        api: raw.api,
        base_url: base_url?,
        ca,
        backup_url,
        mchid: raw.mchid.clone(),
        appid: raw.appid.clone(),
        mini_program_appid: raw.mini_program_appid.clone(),
        mini_program_page: raw.mini_program_page.clone(),
        v3,
        v2,
        amiss,
    })
}

/// The keys of an API, or none of them where anything is wrong with one: that is no reason not to serve everybody else.
fn keys<T>(
    checks: &mut Checks<'_>,
    amiss: &mut Vec<String>,
    read: impl FnOnce(&mut Checks<'_>) -> Option<T>,
) -> Option<T> {
    let others = std::mem::take(&mut checks.problems);
    let keys = read(checks);
    let found = std::mem::replace(&mut checks.problems, others);
    let are_right = found.is_empty();
    amiss.extend(found.iter().map(|problem| format!("{}: {}", problem.path, problem.message)));
    checks.amiss.append(found);
    keys.filter(|_| are_right)
}

/// What is written where a secret's place should stand may be the secret: that is no matter of missing keys.
fn secrets_are_elsewhere(path: &KeyPath, raw: &RawMerchant, checks: &mut Checks<'_>) {
    let single = [
        ("private_key", &raw.private_key),
        ("api_v3_key", &raw.api_v3_key),
        ("previous_api_v3_key", &raw.previous_api_v3_key),
        ("api_v2_key", &raw.api_v2_key),
        ("certificate", &raw.certificate),
        ("platform_public_key", &raw.platform_public_key),
    ];
    let single = single.into_iter().filter_map(|(key, at)| Some((path.key(key), at.as_ref()?)));
    let certificates = raw.platform_certificates.iter().enumerate();
    let certificates = certificates.map(|(i, at)| (path.key("platform_certificates").index(i), at));
    let public_keys = raw.platform_public_keys.iter().enumerate();
    let public_keys =
        public_keys.map(|(i, part)| (path.key("platform_public_keys").index(i).key("key"), &part.key));
    for (path, at) in single.chain(certificates).chain(public_keys) {
        checks.problems.catch(path, at.parse::<SecretRef>());
    }
}

/// Where WeChat Pay is asked when there is no way to the usual host.
fn backup_url(
    path: &KeyPath,
    raw: &RawMerchant,
    base_url: Option<&str>,
    checks: &mut Checks<'_>,
) -> Option<String> {
    let path = path.key("backup_url");
    let Some(text) = &raw.backup_url else {
        let usual = raw.mode == MerchantMode::Live && base_url == Some(WECHAT_PAY);
        return usual.then(|| WECHAT_PAY_BACKUP.to_owned());
    };
    let backup_url = checks.url(&path, text)?;
    right_address(&path, raw.mode, &backup_url, checks);
    let path_of = |url: &str| url::Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default();
    if base_url.is_some_and(|base_url| path_of(base_url) != path_of(&backup_url)) {
        checks
            .problems
            .add(path, "the very same request is sent there, so its path must be that of `base_url`");
    }
    Some(backup_url)
}

/// How long a serial is in hex: 40 digits, and some fewer where it begins with zeros and was written without them.
const SERIAL_DIGITS: std::ops::RangeInclusive<usize> = 32..=40;

/// What an API cannot be spoken without.
fn needed<'a>(
    path: &KeyPath,
    key: &str,
    value: Option<&'a String>,
    api: &str,
    checks: &mut Checks<'_>,
) -> Option<&'a String> {
    if value.is_none() {
        checks.problems.add(path.key(key), format!("API {api} is not spoken without it"));
    }
    value
}

fn v3(path: &KeyPath, raw: &RawMerchant, checks: &mut Checks<'_>) -> Option<V3Settings> {
    let serial = needed(path, "merchant_serial", raw.merchant_serial.as_ref(), "v3", checks);
    let merchant_serial = serial.map(|serial| serial.to_ascii_uppercase());
    if let Some(serial) = &merchant_serial
        && (!SERIAL_DIGITS.contains(&serial.len()) || !serial.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        checks.problems.add(path.key("merchant_serial"), "a certificate's serial is 40 hex digits");
    }
    let private_key = needed(path, "private_key", raw.private_key.as_ref(), "v3", checks);
    let private_key = private_key.and_then(|at| pem(&path.key("private_key"), at, "PRIVATE KEY", checks));
    let api_v3_key = needed(path, "api_v3_key", raw.api_v3_key.as_ref(), "v3", checks);
    let api_v3_key = api_v3_key.and_then(|at| checks.secret(&path.key("api_v3_key"), at));
    if let Some(key) = &api_v3_key
        && key.expose().len() != 32
    {
        checks.problems.add_with_help(
            path.key("api_v3_key"),
            format!("an APIv3 key has 32 characters; there are {} here", key.expose().len()),
            "set and copy it in the merchant console, under API security",
        );
    }
    let previous = raw.previous_api_v3_key.as_ref();
    let previous_api_v3_key = previous.and_then(|at| checks.secret(&path.key("previous_api_v3_key"), at));
    if previous_api_v3_key.as_ref().is_some_and(|key| key.expose().len() != 32) {
        checks.problems.add(path.key("previous_api_v3_key"), "an APIv3 key has 32 characters");
    }
    let mut platform_public_keys: Vec<_> = public_key(path, raw, checks).into_iter().collect();
    for (i, part) in raw.platform_public_keys.iter().enumerate() {
        let path = path.key("platform_public_keys").index(i);
        public_key_id(&path.key("id"), &part.id, checks);
        if let Some(pem) = pem(&path.key("key"), &part.key, "PUBLIC KEY", checks) {
            platform_public_keys
                .push(PlatformPublicKey { id: part.id.clone(), pem: pem.expose().to_owned() });
        }
    }
    let certificate = raw.certificate.as_ref();
    let certificate = certificate.and_then(|at| pem(&path.key("certificate"), at, "CERTIFICATE", checks));
    let certificates = path.key("platform_certificates");
    let platform_certificates: Vec<_> = (raw.platform_certificates.iter().enumerate())
        .filter_map(|(i, at)| pem(&certificates.index(i), at, "CERTIFICATE", checks))
        .map(|secret| secret.expose().to_owned())
        .collect();
    let has_public_key = raw.platform_public_key.is_some() || !raw.platform_public_keys.is_empty();
    if !has_public_key && raw.platform_certificates.is_empty() && !raw.download_certificates {
        checks.problems.add_with_help(
            path.clone(),
            "without the platform's key no notice can be verified",
            "set `platform_public_key_id` and `platform_public_key`, or let `download_certificates` be true",
        );
    }
    Some(V3Settings {
        merchant_serial: merchant_serial?,
        private_key: private_key?,
        api_v3_key: api_v3_key?,
        previous_api_v3_key,
        platform_public_keys,
        platform_certificates,
        download_certificates: raw.download_certificates,
        certificate: certificate.map(|secret| secret.expose().to_owned()),
    })
}

fn v2(path: &KeyPath, raw: &RawMerchant, checks: &mut Checks<'_>) -> Option<V2Settings> {
    let key = needed(path, "api_v2_key", raw.api_v2_key.as_ref(), "v2", checks);
    let key = key.and_then(|at| checks.secret(&path.key("api_v2_key"), at));
    if let Some(key) = &key
        && (key.expose().len() != 32 || !key.expose().bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        checks.problems.add_with_help(
            path.key("api_v2_key"),
            "an APIv2 key is 32 letters and digits",
            "set and copy it in the merchant console, under API security",
        );
    }
    let certificate = raw.certificate.as_ref().and_then(|at| {
        let key = needed(path, "private_key", raw.private_key.as_ref(), "v2's refunds", checks);
        let key = key.and_then(|at| pem(&path.key("private_key"), at, "PRIVATE KEY", checks));
        Some((pem(&path.key("certificate"), at, "CERTIFICATE", checks)?, key?))
    });
    Some(V2Settings { key: key?, sign_type: raw.sign_type, certificate })
}

/// Simulated payments must not become real balance, nor real ones go to a simulator.
fn right_address(path: &KeyPath, mode: MerchantMode, base_url: &str, checks: &mut Checks<'_>) {
    let path = path.clone();
    let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let is_wechat_pay =
        host.strip_suffix(WECHAT_PAY_DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match mode {
        MerchantMode::Live if !base_url.starts_with("https://") => {
            checks.problems.add(path, "a live merchant is reached over https only");
        }
        MerchantMode::Sandbox if is_wechat_pay => checks.problems.add_with_help(
            path,
            "this is the real WeChat Pay, and would take real money",
            "name the simulator: base_url = \"http://127.0.0.1:8082/wechat\"",
        ),
        _ => {}
    }
}

/// Whom a simulator's TLS is trusted by. For the real WeChat Pay the system's authorities are right, and one that somebody
/// here has made would let whoever has its key answer in WeChat Pay's place.
fn authority(path: &KeyPath, raw: &RawMerchant, at: &str, checks: &mut Checks<'_>) -> Option<String> {
    if raw.mode == MerchantMode::Live {
        checks
            .problems
            .add(path.clone(), "a live merchant trusts the system's authorities only: for `sandbox`");
        return None;
    }
    if !raw.base_url.starts_with("https://") {
        checks.problems.add(path.clone(), "`base_url` is not https, so there is nobody to be trusted");
        return None;
    }
    pem(path, at, "CERTIFICATE", checks).map(|pem| pem.expose().to_owned())
}

fn public_key(path: &KeyPath, raw: &RawMerchant, checks: &mut Checks<'_>) -> Option<PlatformPublicKey> {
    if let Some(id) = &raw.platform_public_key_id {
        public_key_id(&path.key("platform_public_key_id"), id, checks);
    }
    match (&raw.platform_public_key_id, &raw.platform_public_key) {
        (None, None) => None,
        (Some(id), Some(at)) => {
            let pem = pem(&path.key("platform_public_key"), at, "PUBLIC KEY", checks)?;
            Some(PlatformPublicKey { id: id.clone(), pem: pem.expose().to_owned() })
        }
        (Some(_), None) => {
            let what = "the id is there, the key is not: set `platform_public_key` too";
            checks.problems.add(path.key("platform_public_key_id"), what);
            None
        }
        (None, Some(_)) => {
            let what = "the key is there, its id is not: set `platform_public_key_id` too";
            checks.problems.add(path.key("platform_public_key"), what);
            None
        }
    }
}

fn public_key_id(path: &KeyPath, id: &str, checks: &mut Checks<'_>) {
    let digits = id.strip_prefix("PUB_KEY_ID_");
    if !digits.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric())) {
        checks.problems.add(path.clone(), "a public key's id is `PUB_KEY_ID_` and digits");
    }
}

/// A PEM text with a block of the wanted kind. Whether its inside is right is for the channel to say.
fn pem(path: &KeyPath, reference: &str, wanted: &'static str, checks: &mut Checks<'_>) -> Option<Secret> {
    let secret = checks.secret(path, reference)?;
    let begins = |kind: &str| secret.expose().contains(&format!("-----BEGIN {kind}-----"));
    if begins(wanted) {
        return Some(secret);
    }
    let kinds = ["PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE", "RSA PRIVATE KEY", "RSA PUBLIC KEY"];
    let found = kinds.into_iter().find(|kind| begins(kind));
    let message = match found {
        Some(found) => format!("expected a PEM block `{wanted}`, found `{found}`"),
        None => format!("expected a PEM block `-----BEGIN {wanted}-----`, found none"),
    };
    match found {
        Some("RSA PRIVATE KEY") => checks.problems.add_with_help(
            path.clone(),
            message,
            "convert it: openssl pkcs8 -topk8 -nocrypt -in old.pem -out apiclient_key.pem",
        ),
        _ => checks.problems.add(path.clone(), message),
    }
    None
}
