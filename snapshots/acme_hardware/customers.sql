select
    Client.Account as source_customer_code,
    case when Client.On_Hold = 1 then 'Ignore' else 'Active' end as customer_active,
    left(ltrim(rtrim([Client].[Contact_Person])), charindex(' ', concat(ltrim(rtrim([Client].[Contact_Person])), ' ')) - 1) as first_name,
    ltrim(substring(ltrim(rtrim([Client].[Contact_Person])), charindex(' ', concat(ltrim(rtrim([Client].[Contact_Person])), ' ')), 4000)) as last_name,
    Client.EMail as email
from Client
