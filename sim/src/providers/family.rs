//! Who has which habits? One entry for each provider that speaks OpenAI's language by and large.
use super::dialect::{Auth, UsageAt};
use super::habits::{Habits, Thoughts, ToolStream, USUAL};
use super::words::{Kind, Shape, row};

/// `https://generativelanguage.googleapis.com/v1beta/openai`
pub(super) static GEMINI: Habits = Habits {
    name: "gemini",
    shape: Shape::Google,
    rows: &[
        row(Kind::BadKey, 400, "INVALID_ARGUMENT", "", "API key not valid. Please pass a valid API key."),
        row(Kind::OutOfFunds, 402, "FAILED_PRECONDITION", "", "Billing is not enabled or funds are used up."),
        row(Kind::NoModel, 404, "NOT_FOUND", "", "models/{} is not found for API version v1main."),
        row(
            Kind::RateLimited,
            429,
            "RESOURCE_EXHAUSTED",
            "",
            "You exceeded your current quota. Please retry in 34s.",
        ),
        row(Kind::Overloaded, 503, "UNAVAILABLE", "", "The model is overloaded. Please try again later."),
        row(Kind::Broken, 500, "INTERNAL", "", "An internal error has occurred."),
        row(Kind::Filtered, 400, "INVALID_ARGUMENT", "", "The prompt was blocked: PROHIBITED_CONTENT"),
        row(
            Kind::TooLong,
            400,
            "INVALID_ARGUMENT",
            "",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        row(Kind::Invalid, 400, "INVALID_ARGUMENT", "", "{}"),
    ],
    thoughts: Thoughts::None,
    tool_stream: ToolStream::WholeWithoutIndex,
    usage_at: (UsageAt::Finish, UsageAt::Never),
    call_word: "stop",
    signs_calls: true,
    choices: true,
    embeddings_max: 100,
    ..USUAL
};

/// `https://api.moonshot.cn/v1`
pub(super) static MOONSHOT: Habits = Habits {
    name: "moonshot",
    shape: Shape::TypeOnly,
    rows: &[
        row(Kind::BadKey, 401, "invalid_authentication_error", "", "Invalid Authentication"),
        row(
            Kind::OutOfFunds,
            429,
            "exceeded_current_quota_error",
            "",
            "Your account is suspended due to insufficient balance, please recharge your account.",
        ),
        row(
            Kind::NoModel,
            404,
            "resource_not_found_error",
            "",
            "Not found the model {} or Permission denied",
        ),
        row(
            Kind::RateLimited,
            429,
            "rate_limit_reached_error",
            "",
            "Your account request reached max request per minute, please try again after 1 seconds",
        ),
        row(
            Kind::Overloaded,
            429,
            "engine_overloaded_error",
            "",
            "The engine is currently overloaded, please try again later",
        ),
        row(Kind::Broken, 500, "server_error", "", "Internal error"),
        row(
            Kind::Filtered,
            400,
            "content_filter",
            "",
            "The request was rejected because it was considered high risk",
        ),
        row(
            Kind::TooLong,
            400,
            "invalid_request_error",
            "",
            "Your request exceeded model token limit: 262144",
        ),
        row(Kind::Invalid, 400, "invalid_request_error", "", "{}"),
    ],
    usage_in_choice: true,
    cached_at_top: true,
    temperature: Some(1.0),
    refuses: &["presence_penalty", "frequency_penalty"],
    thoughts_back: true,
    ..USUAL
};

/// `https://open.bigmodel.cn/api/paas/v4`
pub(super) static ZHIPU: Habits = Habits {
    name: "zhipu",
    shape: Shape::CodeOnly,
    rows: &[
        row(Kind::BadKey, 401, "", "1000", "身份验证失败。"),
        row(Kind::OutOfFunds, 429, "", "1113", "您的账户已欠费，请充值后重试。"),
        row(Kind::NoModel, 400, "", "1211", "模型不存在，请检查模型代码。"),
        row(Kind::RateLimited, 429, "", "1302", "您当前使用该API的并发数过高，请降低并发。"),
        row(Kind::Overloaded, 429, "", "1305", "当前API请求过多，请稍后重试。"),
        row(Kind::Broken, 500, "", "500", "内部错误"),
        row(Kind::Filtered, 400, "", "1301", "系统检测到输入或生成内容可能包含不安全或敏感内容。"),
        row(Kind::TooLong, 400, "", "1261", "Prompt 超长。"),
        row(Kind::Invalid, 400, "", "1210", "API 调用参数有误：{}"),
    ],
    usage_at: (UsageAt::Finish, UsageAt::Finish),
    only_auto: true,
    stops_max: 1,
    json_schema: false,
    beside: r#"{"request_id": "20261121080000sim"}"#,
    ..USUAL
};

/// `https://api.minimaxi.com/v1`
pub(super) static MINIMAX: Habits = Habits {
    name: "minimax",
    shape: Shape::BaseResp,
    rows: &[
        row(Kind::BadKey, 200, "", "1004", "login fail: Please carry the API secret key in the request"),
        row(Kind::OutOfFunds, 200, "", "1008", "insufficient balance"),
        row(Kind::NoModel, 200, "", "2013", "invalid params, unknown model '{}'"),
        row(Kind::RateLimited, 200, "", "1002", "rate limit exceeded"),
        row(Kind::Overloaded, 200, "", "1001", "request timeout, try again later"),
        row(Kind::Broken, 200, "", "1000", "unknown error"),
        row(Kind::Filtered, 200, "", "1026", "input new_sensitive"),
        row(Kind::TooLong, 200, "", "2013", "invalid params, context window exceeds limit"),
        row(Kind::Invalid, 200, "", "2013", "invalid params, {}"),
    ],
    thoughts: Thoughts::Inline,
    base_resp: true,
    repeats_message: true,
    usage_at: (UsageAt::Trailer, UsageAt::Finish),
    beside: r#"{"input_sensitive": false, "output_sensitive": false}"#,
    ..USUAL
};

/// `https://ark.cn-beijing.volces.com/api/v3`
pub(super) static DOUBAO: Habits = Habits {
    name: "doubao",
    shape: Shape::Ark,
    rows: &[
        row(Kind::BadKey, 401, "Unauthorized", "AuthenticationError", "The API key doesn't exist."),
        row(
            Kind::OutOfFunds,
            403,
            "Forbidden",
            "AccountOverdueError",
            "The request failed because your account has an overdue balance.",
        ),
        row(
            Kind::NoModel,
            404,
            "NotFound",
            "InvalidEndpointOrModel.NotFound",
            "The model or endpoint {} does not exist.",
        ),
        row(
            Kind::RateLimited,
            429,
            "TooManyRequests",
            "RateLimitExceeded.EndpointRPMExceeded",
            "The requests per minute limit of the endpoint is exceeded.",
        ),
        row(Kind::Overloaded, 429, "TooManyRequests", "ServerOverloaded", "The service is overloaded."),
        row(Kind::Broken, 500, "InternalServerError", "InternalServiceError", "The service has a problem."),
        row(
            Kind::Filtered,
            400,
            "BadRequest",
            "InputTextRiskDetection",
            "The request failed because the input text may contain sensitive information.",
        ),
        row(
            Kind::TooLong,
            400,
            "BadRequest",
            "InvalidParameter",
            "Total tokens of image and text exceed max message tokens: token length too long.",
        ),
        row(Kind::Invalid, 400, "BadRequest", "InvalidParameter", "A parameter is not valid: {}."),
    ],
    developers: true,
    beside: r#"{"service_tier": "default"}"#,
    ..USUAL
};

/// `https://api.hunyuan.cloud.tencent.com/v1`
pub(super) static HUNYUAN: Habits = Habits {
    name: "hunyuan",
    rows: &[row(Kind::OutOfFunds, 400, "runtime_error", "ResourceUnavailable.InArrears", "账户欠费")],
    usage_at: (UsageAt::Every, UsageAt::Finish),
    beside: r#"{"system_fingerprint": "", "note": "以上内容为AI生成"}"#,
    ..USUAL
};

/// `https://api.siliconflow.cn/v1`
pub(super) static SILICONFLOW: Habits = Habits {
    name: "siliconflow",
    shape: Shape::Flat,
    rows: &[
        row(Kind::BadKey, 401, "", "", "Invalid token"),
        row(Kind::OutOfFunds, 403, "", "30001", "Sorry, your account balance is insufficient"),
        row(Kind::NoModel, 400, "", "20012", "Model does not exist. Please check it carefully."),
        row(Kind::RateLimited, 429, "", "", "Request was rejected due to rate limiting."),
        row(Kind::Overloaded, 503, "", "50505", "Model service overloaded. Please try again later."),
        row(Kind::Broken, 500, "", "50500", "Internal error"),
        row(Kind::Filtered, 451, "", "20051", "The content is not allowed."),
        row(Kind::TooLong, 400, "", "20015", "length of prompt_tokens must be less than max_seq_len"),
        row(Kind::Invalid, 400, "", "20015", "{}"),
    ],
    usage_at: (UsageAt::Every, UsageAt::Every),
    choices: true,
    ..USUAL
};

/// `https://api.groq.com/openai/v1`
pub(super) static GROQ: Habits = Habits {
    name: "groq",
    rows: &[
        row(
            Kind::OutOfFunds,
            429,
            "insufficient_quota",
            "spend_limit_reached",
            "Your spend limit was reached.",
        ),
        row(
            Kind::RateLimited,
            429,
            "tokens",
            "rate_limit_exceeded",
            "Rate limit reached for model. Please try again in 5.289s.",
        ),
        row(Kind::Overloaded, 498, "server_error", "capacity_exceeded", "Flex tier capacity exceeded."),
    ],
    thoughts: Thoughts::In("reasoning"),
    tool_stream: ToolStream::Whole,
    usage_in_x_groq: true,
    refuses: &["logprobs", "logit_bias", "top_logprobs"],
    refuses_names: true,
    stops_max: 4,
    developers: true,
    beside: r#"{"service_tier": "on_demand", "system_fingerprint": "fp_51b0c0ffee"}"#,
    ..USUAL
};

/// `https://api.together.ai/v1`
pub(super) static TOGETHER: Habits = Habits {
    name: "together",
    rows: &[
        row(Kind::OutOfFunds, 402, "billing_error", "", "Credit limit exceeded."),
        row(
            Kind::TooLong,
            403,
            "invalid_request_error",
            "",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 131073.",
        ),
    ],
    thoughts: Thoughts::In("reasoning"),
    usage_at: (UsageAt::Finish, UsageAt::Finish),
    stop_word: "eos",
    choices: true,
    ..USUAL
};

/// `https://api.fireworks.ai/inference/v1`
pub(super) static FIREWORKS: Habits = Habits {
    name: "fireworks",
    rows: &[row(Kind::OutOfFunds, 412, "error", "ACCOUNT_SUSPENDED", "Account is suspended, check billing.")],
    usage_at: (UsageAt::Finish, UsageAt::Finish),
    choices: true,
    ..USUAL
};

/// `https://api.x.ai/v1`
pub(super) static XAI: Habits = Habits {
    name: "xai",
    shape: Shape::XAi,
    rows: &[
        row(Kind::BadKey, 400, "Client specified an invalid argument", "", "Incorrect API key provided."),
        row(
            Kind::OutOfFunds,
            429,
            "Some resource has been exhausted",
            "",
            "Your team has either used all available credits or reached its monthly spending limit.",
        ),
        row(Kind::NoModel, 404, "Some requested entity was not found", "", "The model {} does not exist."),
        row(Kind::RateLimited, 429, "Some resource has been exhausted", "", "Too many requests for team."),
        row(
            Kind::Overloaded,
            503,
            "The service is currently unavailable",
            "",
            "Service temporarily unavailable.",
        ),
        row(Kind::Broken, 500, "Internal error", "", "Internal error."),
        row(
            Kind::Filtered,
            403,
            "The caller does not have permission",
            "",
            "Content violates usage guidelines.",
        ),
        row(
            Kind::TooLong,
            400,
            "Client specified an invalid argument",
            "",
            "This model's maximum prompt length is 256000 but the request contains 300000 tokens.",
        ),
        row(Kind::Invalid, 400, "Client specified an invalid argument", "", "Argument not supported: {}"),
    ],
    tool_stream: ToolStream::Whole,
    thinking_apart: true,
    usage_at: (UsageAt::Trailer, UsageAt::Finish),
    call_word: "",
    refuses: &["stop", "presence_penalty", "frequency_penalty"],
    developers: true,
    choices: true,
    ..USUAL
};

/// `https://openrouter.ai/api/v1`
pub(super) static OPENROUTER: Habits = Habits {
    name: "openrouter",
    shape: Shape::OpenRouter,
    rows: &[
        row(Kind::OutOfFunds, 402, "", "", "Insufficient credits. Add more using the credits page."),
        row(Kind::NoModel, 400, "", "", "{} is not a valid model ID"),
        row(Kind::Filtered, 403, "", "", "The input was flagged by moderation."),
        row(Kind::Overloaded, 503, "", "", "No available model provider meets your routing requirements."),
    ],
    thoughts: Thoughts::In("reasoning"),
    usage_at: (UsageAt::Trailer, UsageAt::Trailer),
    tells_cost: true,
    comment: Some(": OPENROUTER PROCESSING\n\n"),
    developers: true,
    beside: r#"{"provider": "Sim"}"#,
    ..USUAL
};

/// vLLM's own server.
pub(super) static VLLM: Habits = Habits {
    name: "vllm",
    auth: Auth::Anyone,
    shape: Shape::VLlm,
    rows: &[
        row(Kind::NoModel, 404, "NotFoundError", "", "The model `{}` does not exist."),
        row(Kind::Invalid, 400, "BadRequestError", "", "{}"),
        row(Kind::Broken, 500, "InternalServerError", "", "EngineCore encountered an issue."),
        row(
            Kind::TooLong,
            400,
            "BadRequestError",
            "",
            "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens (139000 in \
             the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
        ),
    ],
    thoughts: Thoughts::In("reasoning"),
    done_after_error: true,
    developers: true,
    choices: true,
    ..USUAL
};

/// Ollama's own server.
pub(super) static OLLAMA: Habits = Habits {
    name: "ollama",
    auth: Auth::Anyone,
    rows: &[
        row(Kind::NoModel, 404, "not_found_error", "", "model '{}' not found"),
        row(Kind::Broken, 500, "api_error", "", "an error was encountered while running the model"),
        row(Kind::Invalid, 400, "invalid_request_error", "", "{}"),
    ],
    thoughts: Thoughts::In("reasoning"),
    tool_stream: ToolStream::Whole,
    role_always: true,
    beside: r#"{"system_fingerprint": "fp_ollama"}"#,
    ..USUAL
};
